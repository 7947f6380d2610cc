from __future__ import annotations

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tasks.config import InputError
from tasks.tracking.refusals import checked_address, refusal_of, without_password_of, without_sign_in
from tests.support.answering import answering

DATABASE = "postgresql://anna:s3cret@db.example.org/mlflow"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """MLflow's client asks once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def user(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")


@pytest.mark.parametrize(
    ("code", "call", "told"),
    [
        (401, lambda client: client.search_experiments(), ["'anna'", "foldcam login"]),
        (403, lambda client: client.create_run("1"), ["--may edit --experiment", "runs/create"]),
        (403, lambda client: client.set_registered_model_alias("m", "champion", "1"), ["--may promote --model"]),
    ],
)
def test_what_a_server_refuses_is_said_with_what_to_do(user, code, call, told):
    with answering(code) as url:
        with pytest.raises(MlflowException) as raised:
            call(MlflowClient(url))
        said = str(refusal_of(raised.value, url))
    assert [part for part in [*told, url] if part not in said] == []
    assert "s3cret" not in said


def test_nobody_signed_in_is_told_to_sign_in(monkeypatch):
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    with answering(401) as url:
        with pytest.raises(MlflowException) as raised:
            MlflowClient(url).search_experiments()
        assert "wants a sign-in" in str(refusal_of(raised.value, url))


def test_a_name_that_the_server_does_not_know_is_not_called_a_missing_right(user):
    with answering(403, "Invalid Host header - possible DNS rebinding attack detected") as url:
        with pytest.raises(MlflowException) as raised:
            MlflowClient(url).search_experiments()
        said = str(refusal_of(raised.value, url))
    assert "--allowed-hosts" in said
    assert "--may" not in said


def test_prefect_s_refusal_is_prefect_s(monkeypatch):
    from httpx import HTTPStatusError
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with answering(401) as url:
        monkeypatch.setenv("PREFECT_API_URL", f"{url}/api")
        with (
            temporary_settings({PREFECT_API_URL: f"{url}/api"}),
            get_client(sync_client=True) as client,
            pytest.raises(HTTPStatusError) as raised,
        ):
            client.request("GET", "/admin/version").raise_for_status()
        said = str(refusal_of(raised.value))
    assert "Prefect" in said
    assert "PREFECT_API_AUTH_STRING" in said


@pytest.mark.parametrize("code", [404, 409, 500])
def test_other_answers_are_no_refusals(code):
    with answering(code) as url:
        with pytest.raises(MlflowException) as raised:
            MlflowClient(url).get_run("1" * 32)
        assert refusal_of(raised.value, url) is None


def test_faults_of_ones_own_are_no_refusals():
    assert refusal_of(ValueError("403"), "http://127.0.0.1:5000") is None
    assert refusal_of(MlflowException("no", error_code=7), "sqlite:///mlflow.db") is None


def test_a_refusal_behind_another_fault_is_found(user):
    with answering(403) as url:
        with pytest.raises(MlflowException) as raised:
            MlflowClient(url).create_run("1")
        outer = RuntimeError("the flow failed")
        outer.__cause__ = raised.value
        assert "--may edit" in str(refusal_of(outer, url))


@pytest.mark.parametrize(
    "uri", ["http://host:5000", "https://host/a@b", "sqlite:///a@b.db", DATABASE, "", "databricks://profile"]
)
def test_addresses_that_hold_nothing_to_hide_and_databases_are_let_through(uri):
    assert checked_address(uri) == uri


def test_an_address_with_a_password_is_refused_without_repeating_it():
    with pytest.raises(InputError) as raised:
        checked_address("https://anna:s3cret@host:5000/mlflow")
    assert "https://host:5000/mlflow" in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert "anna" not in str(raised.value)


def test_what_a_database_says_is_shown_without_its_password():
    assert without_sign_in(DATABASE) == "postgresql://db.example.org/mlflow"
    said = without_password_of(DATABASE, f"cannot connect to {DATABASE} with s3cret")
    assert said == "cannot connect to postgresql://db.example.org/mlflow with …"


def test_an_address_that_no_variable_holds_is_to_be_given_and_not_to_be_set():
    with pytest.raises(InputError, match=r"Give https://host:5000 and store"):
        checked_address("https://anna:s3cret@host:5000", "The address")
