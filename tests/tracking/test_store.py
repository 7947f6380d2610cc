from __future__ import annotations

import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.runners import free_port
from tasks.config import InputError
from tasks.tracking import store
from tasks.tracking.store import experiment_id, local_copy, open_client, tracking_uri


def test_the_address_is_mlflows_own_setting(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://team:5000")
    assert tracking_uri() == "http://team:5000"


def test_without_a_setting_the_store_lies_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tracking_uri() == f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def test_nothing_at_the_address_is_told_with_the_address_and_within_seconds(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(InputError) as caught:
        open_client(address)
    assert address in str(caught.value)
    assert "MLFLOW_TRACKING_URI" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(InputError) as caught:
        open_client(f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert str(caught.value).count("MLflow's store at") == 1
    assert "could not be reached" in str(caught.value)


def test_a_file_that_is_no_database_and_a_scheme_that_is_none_are_told(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database, whatever it is called" * 100)
    for address in (f"sqlite:///{tmp_path / 'mlflow.db'}", "nonsense://x"):
        with pytest.raises(InputError, match="could not be used"):
            open_client(address)


def test_an_experiment_keeps_its_id(client):
    made = experiment_id(client, "faces")
    assert experiment_id(client, "faces") == made
    assert client.get_experiment(made).name == "faces"


def test_an_experiment_in_the_bin_is_told_with_the_way_out(client):
    made = experiment_id(client, "faces")
    client.delete_experiment(made)
    with pytest.raises(InputError, match=rf"experiments restore --experiment-id {made}"):
        experiment_id(client, "faces")


def test_two_that_make_the_same_experiment_at_once_get_the_same(client, monkeypatch):
    made = client.create_experiment("faces")
    real, calls = MlflowClient.get_experiment_by_name, []

    def late(self, name):
        calls.append(name)
        return None if len(calls) == 1 else real(self, name)

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", late)
    assert experiment_id(client, "faces") == made


@pytest.mark.parametrize("folder", ["artifacts", "mit Blank & Größe"])
def test_an_artifact_in_a_local_store_is_read_where_it_lies(client, tmp_path, folder):
    experiment = client.create_experiment("local", (tmp_path / folder).as_uri())
    run_id = client.create_run(experiment).info.run_id
    client.log_text(run_id, "a", "tables/große Äpfel.csv")
    found = local_copy(client, run_id, "tables/große Äpfel.csv", tmp_path / "copies")
    assert found.read_text() == "a"
    assert not (tmp_path / "copies").exists()
    assert found.is_relative_to(tmp_path / folder)


def test_an_artifact_of_a_remote_store_is_copied(client, run_id, tmp_path, monkeypatch):
    client.log_text(run_id, "a", "tables/a.csv")
    monkeypatch.setattr(store, "place_of", lambda *_: store.RunPlace("1", "mlflow-artifacts:/1/abc/artifacts", False))
    found = local_copy(client, run_id, "tables/a.csv", tmp_path / "copies")
    assert found.read_text() == "a"
    assert found.is_relative_to(tmp_path / "copies" / run_id)


@pytest.mark.parametrize("artifact", ["tables/b.csv", "pictures/b.png", "b.csv"])
def test_an_artifact_that_a_remote_store_does_not_have_is_not_found(client, run_id, tmp_path, monkeypatch, artifact):
    client.log_text(run_id, "a", "tables/a.csv")
    monkeypatch.setattr(store, "place_of", lambda *_: store.RunPlace("1", "mlflow-artifacts:/1/abc/artifacts", False))
    with pytest.raises(FileNotFoundError, match=artifact):
        local_copy(client, run_id, artifact, tmp_path / "copies")
