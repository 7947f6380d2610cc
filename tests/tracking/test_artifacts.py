from __future__ import annotations

from dataclasses import replace

import pytest
from mlflow import MlflowClient

from tasks.config import InputError
from tasks.tracking.artifacts import Artifacts
from tests.support.servers import mlflow_over_http
from tests.support.studio import make_studio


@pytest.fixture(scope="module")
def served(tmp_path_factory, empty_store):
    """A run with two artifacts on a server, and its client."""
    folder = tmp_path_factory.mktemp("served")
    studio = make_studio(folder, empty_store)
    with mlflow_over_http(folder, studio.tracking_uri) as address:
        client = replace(studio, tracking_uri=address).client
        run_id = client.create_run(client.create_experiment("study")).info.run_id
        client.log_text(run_id, "one", "top.txt")
        client.log_text(run_id, "two", "deep/er/ö.txt")
        yield client, run_id


@pytest.fixture
def artifacts(served, tmp_path):
    return Artifacts(served[0], tmp_path / "copies")


def test_names_are_those_directly_below(served, artifacts):
    assert artifacts.names(served[1]) == {"top.txt", "deep"}
    assert artifacts.names(served[1], "deep/er") == {"ö.txt"}
    assert artifacts.names(served[1], "none") == set()


def test_files_and_whole_folders_are_brought_and_forgotten(served, artifacts, tmp_path):
    assert artifacts.fetch(served[1], "top.txt").read_text() == "one"
    assert (artifacts.fetch(served[1], "deep") / "er" / "ö.txt").read_text() == "two"
    artifacts.forget(served[1])
    assert not list((tmp_path / "copies").rglob("*.txt"))
    assert artifacts.fetch(served[1], "top.txt").read_text() == "one"


def test_what_is_not_there_is_named(served, artifacts):
    with pytest.raises(InputError, match=r"`gone\.txt`.*is gone, or was never logged"):
        artifacts.fetch(served[1], "gone.txt")


def test_what_lies_here_is_read_in_place_and_never_deleted(client, run_id, tmp_path):
    client.log_text(run_id, "here", "top.txt")
    artifacts = Artifacts(client, tmp_path / "copies")
    path = artifacts.fetch(run_id, "top.txt")
    assert path.read_text() == "here"
    artifacts.forget(run_id)
    assert path.exists()
    assert not (tmp_path / "copies").exists()
    with pytest.raises(InputError, match="is gone, or was never logged"):
        artifacts.fetch(run_id, "other.txt")


def test_a_store_that_cannot_be_asked_is_told_in_one_paragraph(artifacts, tmp_path, monkeypatch):
    def broken(*_):
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(MlflowClient, "list_artifacts", broken)
    monkeypatch.setattr(MlflowClient, "get_run", broken)
    for ask in (artifacts.names, lambda run_id: artifacts.fetch(run_id, "top.txt")):
        with pytest.raises(InputError, match=r"no route\. Check") as told:
            ask("f" * 32)
        assert "\n" not in str(told.value)
