from __future__ import annotations

import json
import os
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import prefect
import psutil
import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_SERVER_API_PORT, temporary_settings

from flows import found, runners
from flows.found import answers, found_server, leave_note, note_of
from flows.notes import held, notes_in
from flows.runners import free_port, local_server, prefect_server, start_server
from tasks.config import InputError
from tasks.workers.events import StepEvent, subscribe
from tests.support.answering import answering
from tests.support.processes import until
from tests.support.servers import prefect_by_hand


@pytest.fixture
def no_address():
    """`PREFECT_API_URL` is not set, and nothing listens on the usual port."""
    with temporary_settings({PREFECT_SERVER_API_PORT: free_port()}, restore_defaults={PREFECT_API_URL}):
        yield


@pytest.fixture
def own_home(no_address, tmp_path):
    """A folder of Prefect's in which nothing has run yet."""
    with temporary_settings({PREFECT_HOME: tmp_path}):
        yield tmp_path


@contextmanager
def saying(version, port=None):
    """Serve what looks like a Prefect server that gives `version` as its own; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(True if self.path.endswith("/health") else version).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port or 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def noted(port, **changes):
    """Leave the note of a server that this process keeps, with something in it changed."""
    file = note_of(port)
    leave_note(file, port, os.getpid())
    with held(file) as note:
        replace(note, **changes).write(file)
    return file


def test_without_any_server_none_is_found(own_home):
    with found_server() as url:
        assert url is None


def test_a_server_of_this_version_on_this_database_is_found(own_home):
    with saying(prefect.__version__) as port:
        noted(port)
        with found_server() as url:
            assert url == f"http://127.0.0.1:{port}/api"


@pytest.mark.parametrize(
    "change", [{"version": "3.0.0"}, {"database": "another"}, {"started": 1.0}, {"pid": 2**22 + 1}]
)
def test_a_server_of_another_version_or_database_or_a_dead_one_is_not_used(own_home, change):
    with saying(prefect.__version__) as port:
        noted(port, **change)
        with found_server() as url:
            assert url is None


@pytest.mark.parametrize("said", ["3.0.0", {"detail": "Not Found"}, None])
def test_something_else_that_answers_on_the_port_is_not_used(own_home, said):
    with saying(said) as port:
        noted(port)
        with found_server() as url:
            assert url is None


def test_a_server_that_no_longer_answers_is_given_up_within_seconds(own_home, monkeypatch):
    monkeypatch.setattr(found, "START_SECONDS", 0)
    noted(free_port())
    started = time.monotonic()
    with found_server() as url:
        assert url is None
    assert time.monotonic() - started < found.SETTLED_SECONDS + 3


def test_a_server_that_is_still_starting_is_waited_for(own_home):
    port = free_port()
    noted(port, started=psutil.Process().create_time())
    with ExitStack() as stack:
        later = threading.Timer(1.0, lambda: stack.enter_context(saying(prefect.__version__, port)))
        later.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(found, "START_SECONDS", 10 + time.time() - psutil.Process().create_time())
            with found_server() as url:
                assert url == f"http://127.0.0.1:{port}/api"
        later.join()


def test_a_database_named_by_a_setting_counts(own_home, monkeypatch):
    with saying(prefect.__version__) as port:
        noted(port)
        setting = prefect.settings.PREFECT_SERVER_DATABASE_CONNECTION_URL
        with temporary_settings({setting: "sqlite+aiosqlite:////tmp/other.db"}), found_server() as url:
            assert url is None


def test_a_server_of_foldcams_is_used_and_said(prefect_api, no_address):
    said = []
    with subscribe(said.append), prefect_server() as url:
        assert url == prefect_api == PREFECT_API_URL.value()
    assert said == [StepEvent(f"using the Prefect server that runs at {prefect_api.removesuffix('/api')}")]
    assert answers(f"{prefect_api}/health")


@pytest.fixture
def light_server(own_home, monkeypatch):
    """`local_server` starts one of Python's own in Prefect's place, which is there at once."""
    (own_home / "api").mkdir()
    (own_home / "api" / "health").write_text("true")
    own = ["--bind", "127.0.0.1", "--directory", str(own_home)]
    monkeypatch.setattr(
        runners, "start_server", lambda command, note, **_: start_server(["http.server", command[-2], *own], note)
    )


def test_a_server_outlives_its_starter_while_another_uses_it_and_not_longer(light_server):
    port = free_port()
    with ExitStack() as starter:
        url = starter.enter_context(local_server(port))
        file = note_of(port)
        with held(file) as note:
            keeper = psutil.Process(note.pid)
            starter.close()
            time.sleep(1)
            assert answers(f"{url}/health")
            assert keeper.is_running()
    until(lambda: not answers(f"{url}/health"), 15, "the end of the server")
    until(lambda: not file.exists(), 10, "the end of its note")


def test_a_server_that_nobody_else_uses_ends_with_its_starter(light_server):
    port = free_port()
    with local_server(port) as url:
        assert note_of(port) in notes_in(note_of(port).parent)
    assert not answers(f"{url}/health")
    assert not note_of(port).exists()


def test_who_took_the_port_first_is_not_taken_for_the_server_that_was_started(light_server):
    with answering(200) as stranger:
        port = urlsplit(stranger).port
        with pytest.raises(InputError, match=f"has taken port {port}: call again"), local_server(port):
            pass
        assert not note_of(port).exists()


@pytest.fixture(scope="module")
def users_server(prefect_api, tmp_path_factory):
    """`prefect server start` by hand, on this process's database; gives its port."""
    with prefect_by_hand(tmp_path_factory.mktemp("by-hand")) as url:
        yield urlsplit(url).port


@pytest.fixture
def usual_port(users_server, no_address, monkeypatch):
    """The user's server is on the usual port, and there are no notes."""
    monkeypatch.setattr(found, "notes_in", lambda _: [])
    with temporary_settings({PREFECT_SERVER_API_PORT: users_server}):
        yield users_server


def test_the_users_own_server_on_the_usual_port_is_used_and_left_running(usual_port):
    with found_server() as url:
        assert url == f"http://127.0.0.1:{usual_port}/api"
    assert answers(f"{url}/health")


def test_a_server_of_another_home_is_not_used(usual_port, tmp_path):
    with temporary_settings({PREFECT_HOME: tmp_path}), found_server() as url:
        assert url is None


def test_a_server_that_was_given_another_database_is_not_used(usual_port, monkeypatch):
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "sqlite+aiosqlite:////tmp/other.db")
    with found_server() as url:
        assert url is None


def test_what_only_looks_like_prefect_on_the_usual_port_is_not_used(own_home):
    with (
        saying(prefect.__version__) as port,
        temporary_settings({PREFECT_SERVER_API_PORT: port}),
        found_server() as url,
    ):
        assert url is None
