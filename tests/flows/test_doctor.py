"""`foldcam doctor` against real stores and servers, in order and out of it."""

from __future__ import annotations

import json
import os
import socket

import keyring
import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.server.auth.client import AuthServiceClient
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import credentials
from flows.doctor import examine
from flows.doctor_servers import check_mlflow, check_prefect, check_sign_in
from flows.runners import free_port
from tasks.tracking import health
from tasks.tracking.runs import OWNER
from tests.support.answering import answering
from tests.support.command import foldcam
from tests.support.images import write_classes
from tests.support.kept_keyring import KeptKeyring
from tests.support.signed_in import ADMIN
from tests.support.studio import one_json, quick


def states(findings):
    return {found.code: found.state for found in findings}


def found_in(findings, code):
    return next(found for found in findings if found.code == code)


@pytest.fixture
def local(own_studio, monkeypatch):
    own_studio.enter(monkeypatch)
    return own_studio


@pytest.fixture(scope="module")
def team(shared_server):
    with shared_server.as_user() as client:
        AuthServiceClient(shared_server.url).create_user("anna", "annas-password")
        client.create_experiment("faces")  # the first one's artifacts do not go by the server
    return shared_server


def test_all_is_well_with_a_local_store(local):
    images = write_classes(local.folder / "images", {"a": 3, "b": 3})
    file = local.write(quick(images))
    answer = foldcam("doctor", file, "--quick", "--json")
    found = one_json(answer.out)
    assert (answer.code, found["status"]) == (0, "ok"), [one for one in found["checks"] if one["state"] != "ok"]
    codes = [one["code"] for one in found["checks"]]
    assert {"python", "file", "data", "cache", "mlflow.store", "mlflow.artifacts", "prefect.reached"} <= set(codes)
    assert len(codes) == len(set(codes))
    assert "6 images" in next(one["said"] for one in found["checks"] if one["code"] == "data")
    assert list((local.folder / "mlruns").rglob("*trial*")) == []


def test_people_read_a_line_a_check_with_its_mend_and_the_code_is_2(local, monkeypatch):
    monkeypatch.setenv("FOLDCAM_METRICS_PORT", "many")
    monkeypatch.setenv("PREFECT_API_URL", "")
    answer = foldcam("doctor", "gone.yaml", "--quick")
    assert answer.code == 2
    assert "gone.yaml" in answer.out
    assert "FOLDCAM_METRICS_PORT" in answer.out
    assert "2 faults" in answer.out
    assert answer.err == ""


def test_a_notebook_is_as_patient_after_it_as_before(local, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "77")
    before = dict(os.environ)
    check_mlflow(None)
    assert dict(os.environ) == before


def test_a_file_whose_data_or_settings_cannot_be_used_is_a_fault(local):
    file = local.write(quick(local.folder / "gone"))
    assert found_in(examine(file, quick=True).findings, "data").state == "fault"
    file = local.write(quick(local.folder, backbones={"ncnn": {"freeze": "gone"}}))
    assert found_in(examine(file, quick=True).findings, "file").state == "fault"


def test_an_artifact_folder_that_cannot_be_made_is_a_fault(local):
    local.client.create_experiment("faces")
    (local.folder / "mlruns").write_text("a file where the folder would be")
    found, _ = check_mlflow(None)
    kept = found_in(found, "mlflow.artifacts")
    assert kept.state == "fault"
    assert kept.mend


def test_a_store_that_is_no_database_and_a_server_that_is_gone_are_faults(local, tmp_path):
    (tmp_path / "x.db").write_text("no database" * 100)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'x.db'}")
    assert states(check_mlflow(None)[0]) == {"mlflow.store": "fault"}
    mlflow.set_tracking_uri(f"http://127.0.0.1:{free_port()}")
    assert states(check_mlflow(None)[0]) == {"mlflow.reached": "fault"}


def test_runs_of_a_process_that_is_gone_are_told(local):
    client = MlflowClient(local.tracking_uri)
    tags = {"foldcam.status": "started", OWNER: f"{socket.gethostname()}:4194304:1.00"}
    run = client.create_run("0", tags=tags)
    client.create_run("0", tags={"foldcam.status": "started", OWNER: "elsewhere:1:1.00"})
    assert health.orphans(client) == [run.info.run_id]
    assert found_in(check_mlflow(None)[0], "leftovers.runs").state == "warning"


def test_signing_in_and_rights_are_told_apart(team):
    def artifacts():
        return {path for path in (team.folder / "artifacts").rglob("*") if path.is_file()}

    before = artifacts()
    with team.as_user("anna", "wrong"):
        found = check_mlflow(None)[0]
        assert states(found)["mlflow.reached"] == "ok"
        assert found_in(found, "mlflow.sign_in").state == "fault"
        assert "does not take" in found_in(found, "mlflow.sign_in").said
    with team.as_user("anna", "annas-password"):
        found = check_mlflow(None)[0]
        assert states(found)["mlflow.sign_in"] == "ok"
        assert found_in(found, "mlflow.artifacts").state == "fault"
        assert "right" in found_in(found, "mlflow.artifacts").said
    with team.as_user(ADMIN):
        found, folder = check_mlflow(None)
        assert states(found) == dict.fromkeys(
            ("mlflow.reached", "mlflow.clock", "mlflow.sign_in", "mlflow.artifacts"), "ok"
        )
        assert folder is None
        assert artifacts() == before
    assert team.admin_password not in json.dumps([one.to_json() for one in found])


def test_prefects_server_gone_refusing_and_well(monkeypatch, prefect_api):
    assert states(check_prefect()) == {"prefect.reached": "ok", "prefect.clock": "ok", "prefect.sign_in": "ok"}
    with temporary_settings({PREFECT_API_URL: f"http://127.0.0.1:{free_port()}/api"}):
        assert states(check_prefect()) == {"prefect.reached": "fault"}
    with answering(401, of_health=200) as url, temporary_settings({PREFECT_API_URL: f"{url}/api"}):
        monkeypatch.setenv("PREFECT_API_URL", url)
        found = check_prefect()
        assert states(found)["prefect.sign_in"] == "fault"
        assert "foldcam login" in found_in(found, "prefect.sign_in").said
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        assert states(check_prefect()) == {"prefect.reached": "ok"}


def test_where_the_sign_in_comes_from_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDCAM_TESTS_KEYRING", str(tmp_path / "entries.json"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5999")
    mlflow.set_tracking_uri(None)
    before = keyring.get_keyring()
    keyring.set_keyring(KeptKeyring())
    try:
        assert "no sign-in" in check_sign_in()[0].said
        credentials.store("http://127.0.0.1:5999", credentials.SignIn("anna", "annas-password"))
        said = check_sign_in()[0].said
        assert "the tests' own" in said
        assert "annas-password" not in said
    finally:
        keyring.set_keyring(before)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bert")
    assert "MLFLOW_TRACKING_USERNAME" in check_sign_in()[0].said
