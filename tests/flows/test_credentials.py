from __future__ import annotations

import io

import keyring
import pytest
from keyring.backends import fail, null

from flows import credentials
from flows.credentials import SignIn, fill, forget, store, stored
from tasks.config import InputError
from tests.support.command import foldcam
from tests.support.kept_keyring import KeptKeyring

URL = "https://mlflow.example.org/mlflow"
PREFECT = "https://prefect.example.org/api"


@pytest.fixture
def own_keyring(tmp_path, monkeypatch):
    """A keyring with nothing in it; gives its file."""
    monkeypatch.setenv("FOLDCAM_TESTS_KEYRING", str(tmp_path / "keyring.json"))
    before = keyring.get_keyring()
    keyring.set_keyring(KeptKeyring())
    yield tmp_path / "keyring.json"
    keyring.set_keyring(before)


def filled(**variables):
    environment = dict(variables)
    fill(environment)
    return environment


def test_what_was_stored_is_given_to_mlflow_and_prefect_by_their_own_variables(own_keyring):
    store(URL, SignIn("anna", "secret of mlflow"))
    store(PREFECT, SignIn("flows", "secret:of prefect"))
    found = filled(MLFLOW_TRACKING_URI=URL, PREFECT_API_URL=PREFECT)
    assert found["MLFLOW_TRACKING_USERNAME"] == "anna"
    assert found["MLFLOW_TRACKING_PASSWORD"] == "secret of mlflow"
    assert found["PREFECT_API_AUTH_STRING"] == "flows:secret:of prefect"


@pytest.mark.parametrize("written", [URL + "/", "https://MLflow.Example.ORG/mlflow"])
def test_an_address_written_another_way_is_the_same_server(own_keyring, written):
    store(URL, SignIn("anna", "secret"))
    assert filled(MLFLOW_TRACKING_URI=written)["MLFLOW_TRACKING_PASSWORD"] == "secret"


@pytest.mark.parametrize(
    "other", ["http://mlflow.example.org/mlflow", "https://mlflow.example.org", URL + ":1", URL + "x"]
)
def test_a_password_is_given_to_no_other_server(own_keyring, other):
    store(URL, SignIn("anna", "secret"))
    assert filled(MLFLOW_TRACKING_URI=other) == {"MLFLOW_TRACKING_URI": other}


@pytest.mark.parametrize(
    "set_already",
    [
        {"MLFLOW_TRACKING_USERNAME": "ben", "MLFLOW_TRACKING_PASSWORD": "own"},
        {"MLFLOW_TRACKING_TOKEN": "own"},
        {"MLFLOW_TRACKING_USERNAME": "ben"},
    ],
)
def test_the_environment_comes_before_the_keyring(own_keyring, set_already):
    store(URL, SignIn("anna", "secret"))
    given = {"MLFLOW_TRACKING_URI": URL, **set_already}
    assert filled(**given) == given


def test_the_keyring_gives_the_password_of_the_user_that_is_set(own_keyring):
    store(URL, SignIn("anna", "secret"))
    found = filled(MLFLOW_TRACKING_URI=URL, MLFLOW_TRACKING_USERNAME="anna")
    assert found["MLFLOW_TRACKING_PASSWORD"] == "secret"


def test_what_is_forgotten_is_gone_and_only_that(own_keyring):
    store(URL, SignIn("anna", "secret"))
    store(PREFECT, SignIn("flows", "other"))
    assert forget(URL)
    assert not forget(URL)
    assert stored(URL) is None
    assert stored(PREFECT) == SignIn("flows", "other")
    assert "secret" not in own_keyring.read_text()


def test_a_local_store_does_not_open_the_keyring(monkeypatch):
    monkeypatch.setattr(credentials, "stored", lambda _: pytest.fail("the keyring was asked"))
    assert filled(MLFLOW_TRACKING_URI="sqlite:///mlflow.db") == {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    assert filled() == {}


@pytest.mark.parametrize("backend", [fail.Keyring(), null.Keyring()])
def test_without_a_safe_keyring_nothing_is_stored_and_the_command_says_what_to_do_instead(backend, monkeypatch):
    before = keyring.get_keyring()
    keyring.set_keyring(backend)
    monkeypatch.setattr("sys.stdin", io.StringIO("a-very-secret-one\n"))
    try:
        message = foldcam("login", URL, "--user", "anna", "--password-stdin").refused()
        assert filled(MLFLOW_TRACKING_URI=URL) == {"MLFLOW_TRACKING_URI": URL}
    finally:
        keyring.set_keyring(before)
    assert "MLFLOW_TRACKING_PASSWORD" in message
    assert "a-very-secret-one" not in message


class Plain(KeptKeyring):
    priority = 0.5


def test_a_keyring_that_writes_plain_text_is_not_safe(own_keyring):
    keyring.set_keyring(Plain())
    with pytest.raises(InputError, match="encrypted"):
        store(URL, SignIn("anna", "secret"))
    assert not own_keyring.exists()


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "PREFECT_API_URL"])
@pytest.mark.parametrize("userinfo", ["anna:s3cret", "s3cret"])
def test_an_address_with_a_sign_in_is_refused_by_every_command_and_not_repeated(monkeypatch, variable, userinfo):
    monkeypatch.setenv(variable, f"http://{userinfo}@team.example.org:5000/api")
    message = foldcam("backbones").refused()
    assert variable in message
    assert "http://team.example.org:5000/api" in message
    assert "s3cret" not in message


def test_a_sign_in_is_not_shown_by_accident():
    assert "secret" not in f"{SignIn('anna', 'secret')} {SignIn('anna', 'secret')!r}"


def test_a_database_s_password_is_not_repeated_when_it_does_not_answer(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "mssql+pyodbc://anna:s3cret@127.0.0.1:1/mlflow")
    message = foldcam("champion").refused()
    assert "127.0.0.1:1" in message
    assert "s3cret" not in message
