from __future__ import annotations

import io

import keyring
import pytest
from mlflow.exceptions import MlflowException

from flows.users import import_users
from tasks.config import InputError
from tests.support.command import foldcam
from tests.support.kept_keyring import KeptKeyring
from tests.support.signed_in import ADMIN
from tests.support.studio import one_json

PASSWORD = "Password of somebody"


@pytest.fixture(scope="module")
def server(shared_server):
    """A server with an experiment and a registered model with a version; its users are added by the tests."""
    with shared_server.as_user() as client:
        run = client.create_run(client.create_experiment("retina"))
        client.create_registered_model("retina")
        client.create_model_version("retina", run.info.artifact_uri, run.info.run_id)
    return shared_server


@pytest.fixture
def signed_in(server):
    """This process is signed in as the administrator."""
    with server.as_user():
        yield server


def add(name, monkeypatch, *options):
    monkeypatch.setattr("sys.stdin", io.StringIO(PASSWORD + "\n"))
    return foldcam("users", "add", name, "--password-stdin", *options)


def may(server, name, act):
    """Tell whether the server lets a user do something."""
    with server.as_user(name, PASSWORD) as client:
        try:
            act(client)
        except MlflowException as fault:
            if fault.get_http_status_code() != 403:
                raise
            return False
        return True


def signed_out(monkeypatch):
    """Unset what signs this process in; at the end it is as it was before the test."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def read_experiment(client):
    client.get_experiment_by_name("retina")


def start_run(client):
    client.create_run(client.get_experiment_by_name("retina").experiment_id)


def read_model(client):
    client.get_registered_model("retina")


def move_alias(client):
    client.set_registered_model_alias("retina", "champion", "1")


def remove_alias(client):
    client.delete_registered_model_alias("retina", "champion")


@pytest.mark.parametrize(
    ("right", "on", "lets", "refuses"),
    [
        (None, "--experiment", [read_experiment], [start_run]),
        ("read", "--experiment", [read_experiment], [start_run, move_alias]),
        ("edit", "--experiment", [read_experiment, start_run], [move_alias]),
        (None, "--model", [read_model], [move_alias]),
        ("read", "--model", [read_model], [move_alias]),
        ("promote", "--model", [read_model, move_alias], [remove_alias, start_run]),
        ("manage", "--model", [read_model, move_alias, remove_alias], [start_run]),
    ],
)
def test_a_right_lets_one_do_what_it_says_and_no_more(signed_in, monkeypatch, right, on, lets, refuses):
    name = f"{right}{on}"
    assert add(name, monkeypatch).code == 0
    if right is not None:
        answer = foldcam("users", "allow", name, "--may", right, on, "retina")
        assert answer.code == 0, answer.err
    assert [act.__name__ for act in lets if not may(signed_in, name, act)] == []
    assert [act.__name__ for act in refuses if may(signed_in, name, act)] == []


def test_deny_takes_reading_away_and_reset_gives_the_default_back(signed_in, monkeypatch):
    add("changing", monkeypatch)
    foldcam("users", "allow", "changing", "--may", "edit", "--experiment", "retina")
    assert foldcam("users", "deny", "changing", "--experiment", "retina").code == 0
    assert not may(signed_in, "changing", read_experiment)
    assert foldcam("users", "reset", "changing", "--experiment", "retina").code == 0
    assert may(signed_in, "changing", read_experiment)
    assert not may(signed_in, "changing", start_run)


def test_an_administrator_may_everything_and_a_removed_user_nothing(signed_in, monkeypatch):
    add("chief", monkeypatch, "--admin")
    assert may(signed_in, "chief", start_run)
    assert foldcam("users", "remove", "chief").code == 0
    with signed_in.as_user("chief", PASSWORD):
        assert "chief" in foldcam("champion", "retina").refused()


def test_the_list_says_what_was_given(signed_in, monkeypatch):
    add("listed", monkeypatch)
    foldcam("users", "allow", "listed", "--may", "promote", "--model", "retina")
    foldcam("users", "allow", "listed", "--may", "edit", "--experiment", "*")
    found = one_json(foldcam("users", "ls", "--json").out)
    assert found["server"] == signed_in.url
    assert next(user for user in found["users"] if user["name"] == "listed") == {
        "name": "listed",
        "admin": False,
        "rights": [
            {"on": "experiment", "name": "*", "may": "edit"},
            {"on": "model", "name": "retina", "may": "promote"},
        ],
    }


def test_a_password_at_random_is_shown_once_and_works(signed_in):
    made = one_json(foldcam("users", "add", "lucky", "--random", "--json").out)
    with signed_in.as_user("lucky", made["password"]) as client:
        assert client.search_experiments()
    assert made["password"] not in foldcam("users", "ls", "--json").out


def test_somebody_changes_their_own_password_and_nobody_else_s(signed_in, monkeypatch):
    add("self", monkeypatch)
    with signed_in.as_user("self", PASSWORD):
        monkeypatch.setattr("sys.stdin", io.StringIO("another long password\n"))
        assert foldcam("users", "password", "--password-stdin").code == 0
    with signed_in.as_user("self", "another long password"):
        assert "administrator" in foldcam("users", "password", ADMIN, "--random").refused()
    with signed_in.as_user("self", PASSWORD):
        assert "password" in foldcam("users", "ls").refused()


def test_a_file_of_users_is_applied_once_and_changes_nothing_the_second_time(signed_in, tmp_path):
    file = tmp_path / "users.yaml"
    file.write_text(
        "users:\n  from-file:\n    experiments: {retina: edit}\n    models: {retina: read}\n", encoding="utf-8"
    )
    first = one_json(foldcam("users", "import", str(file), "--json").out)
    assert [user["name"] for user in first["added"]] == ["from-file"]
    with signed_in.as_user("from-file", first["added"][0]["password"]) as client:
        start_run(client)
    assert one_json(foldcam("users", "import", str(file), "--json").out) == {"added": [], "changed": []}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["add", ADMIN, "--random"], ["already"]),
        (["add", "with:colon", "--random"], ["colon"]),
        (["remove", ADMIN], ["signed in"]),
        (["remove", "nobody-of-this-name"], ["nobody-of-this-name", "users ls"]),
        (["allow", "rot-of-tests", "--may", "read", "--experiment", "retina"], [f"Is {ADMIN} meant?"]),
        (["allow", ADMIN, "--may", "promote", "--experiment", "retina"], ["--model"]),
        (["allow", ADMIN, "--may", "edit", "--model", "retina"], ["promote"]),
        (["allow", ADMIN, "--may", "write", "--experiment", "retina"], ["'write'", "read, edit, manage"]),
        (["allow", ADMIN, "--may", "read", "--experiment", "retinna"], ["Is retina meant?"]),
        (["allow", ADMIN, "--may", "read"], ["--experiment", "--model"]),
        (["import", "no-such.yaml"], ["no-such.yaml"]),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(signed_in, arguments, told):
    message = foldcam("users", *arguments).refused()
    assert all(part in message for part in told), message


def test_a_user_that_exists_is_not_answered_with_its_password_s_digest(signed_in, monkeypatch):
    """MLflow's own answer repeats the row that it could not write, digest and all."""
    from tasks.tracking.permissions import Permissions

    monkeypatch.setattr(Permissions, "has", lambda *_: False)
    answer = foldcam("users", "add", ADMIN, "--random")
    assert answer.code == 2
    assert "scrypt" not in answer.err
    assert "pbkdf2" not in answer.err


def test_a_short_password_is_refused(signed_in, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))
    assert "12" in foldcam("users", "add", "brief", "--password-stdin").refused()


def test_wrong_passwords_and_none_are_told_apart(server):
    with server.as_user(ADMIN, "wrong") as _:
        assert f"the user '{ADMIN}' with this password" in foldcam("champion").refused()
    with server.as_user("", "") as _:
        assert "foldcam login" in foldcam("champion").refused()


def test_users_need_a_server():
    assert "MLFLOW_TRACKING_URI" in foldcam("users", "ls").refused()


def test_who_logs_in_needs_no_variables_afterwards_and_a_wrong_password_is_not_kept(server, tmp_path, monkeypatch):
    file = tmp_path / "keyring.json"
    monkeypatch.setenv("FOLDCAM_TESTS_KEYRING", str(file))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    signed_out(monkeypatch)
    before = keyring.get_keyring()
    keyring.set_keyring(KeptKeyring())
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stdin", io.StringIO("wrong-password\n"))
            assert "does not take" in foldcam("login", "--user", ADMIN, "--password-stdin").refused()
            assert not file.exists()
            patch.setattr("sys.stdin", io.StringIO(server.admin_password + "\n"))
            answer = foldcam("login", "--user", ADMIN, "--password-stdin")
            assert answer.code == 0, answer.err
            assert server.admin_password not in answer.out + answer.err
        signed_out(monkeypatch)
        assert foldcam("users", "ls").code == 0
        signed_out(monkeypatch)
        assert foldcam("logout").code == 0
        signed_out(monkeypatch)
        assert "foldcam login" in foldcam("users", "ls").refused()
    finally:
        keyring.set_keyring(before)


def test_who_was_made_before_a_server_refused_is_told(tmp_path, monkeypatch):
    class Refusing:
        """A server that goes away after its first new user."""

        def __init__(self):
            self.made = []

        def users(self):
            return []

        def add(self, name, _password, *, admin):  # noqa: ARG002
            if self.made:
                raise InputError("MLflow's server does not answer.")
            self.made.append(name)

    file = tmp_path / "users.yaml"
    file.write_text("users: {anna: {}, ben: {}}")
    monkeypatch.setattr("flows.users.server", Refusing)
    with pytest.raises(InputError, match=r"does not answer\. Made before that.*: anna\. .*--random") as fault:
        import_users(file)
    assert "ben" not in str(fault.value)
