from __future__ import annotations

import pytest
from mlflow.entities import ViewType
from mlflow.server.auth.client import AuthServiceClient

from tests.support.command import foldcam
from tests.support.recorded_runs import RecordedJob
from tests.support.studio import one_json

SETTINGS = {"name": "eyes", "data": {"path": "gone"}, "folds": {"n_splits": 2}, "backbones": {"ncnn": {}}}
READER = "the-second-password-2"


@pytest.fixture(scope="module")
def server(shared_server):
    """A server with sign-in, a recorded experiment on it, and a user who may only read."""
    with shared_server.as_user():
        RecordedJob(shared_server.url, SETTINGS).whole()
        AuthServiceClient(shared_server.url).create_user("reader", READER)
    return shared_server


def runs(client, view):
    experiment = client.get_experiment_by_name("eyes").experiment_id
    return client.search_runs([experiment], run_view_type=view)


def test_who_may_not_delete_gets_a_plain_refusal_and_everything_stays(server):
    with server.as_user("reader", READER):
        message = foldcam("clean", "--older-than", "0h", "--yes").refused()
    assert "reader" in message
    assert READER not in message
    with server.as_user() as client:
        assert len(runs(client, ViewType.ACTIVE_ONLY)) == 4


def test_on_a_server_runs_go_into_its_bin_and_can_be_restored(server):
    with server.as_user() as client:
        before = {run.info.run_id for run in runs(client, ViewType.ACTIVE_ONLY)}
        answer = foldcam("clean", "--older-than", "0h", "--yes", "--json")
        assert answer.code == 0, answer.err
        found = one_json(answer.out)
        assert found["in_bin"]
        assert [(run["goes"], run["bytes"]) for run in found["runs"]] == [(True, None)]
        assert runs(client, ViewType.ACTIVE_ONLY) == []
        assert {run.info.run_id for run in runs(client, ViewType.DELETED_ONLY)} == before
        for run_id in before:
            client.restore_run(run_id)
        fold = next(run for run in runs(client, ViewType.ACTIVE_ONLY) if run.data.tags["foldcam.level"] == "fold")
        assert "predictions.parquet" in {entry.path for entry in client.list_artifacts(fold.info.run_id)}
