from __future__ import annotations

import gc
import logging
import os
import shutil
import signal
import sys
import urllib.request
from pathlib import Path

import pytest
from absl.logging import PythonHandler
from hypothesis import settings

from tests.support.isolation import ADDRESSES, SCRATCH
from tests.support.prefect_home import keep_empty_prefect
from tests.support.spreading import Spreading, misplaced, slow_first
from tests.support.studio import Studio, make_studio


def pytest_configure():
    """Let Ctrl-C reach the commands under test even where a shell has started the tests in its background.

    No test fails for taking long on a busy machine.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("shared machine", deadline=None)
    settings.load_profile("shared machine")


def pytest_report_header():
    from tests.support.disturbed import ROUNDS, SEED

    return f"faults: SEED={SEED} ROUNDS={ROUNDS}" if _with_long_tests() else None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return Spreading(config, log)


def pytest_collection_modifyitems(config, items):
    """Leave the long tests to `make faults`; order those that several processes share."""
    if wrong := misplaced(items):
        raise pytest.UsageError(f"tests/support/spreading.py does not say what these share: {', '.join(wrong)}")
    if not _with_long_tests():
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="a long test: `make faults` runs it"))
    if hasattr(config, "workerinput"):
        slow_first(items)


def _with_long_tests():
    return os.environ.get("FOLDCAM_FAULTS") == "1"


def pytest_unconfigure():
    shutil.rmtree(SCRATCH, ignore_errors=True)


# Keras's logging would close pytest's own output when Prefect sets up logging inside a redirected command.
PythonHandler.close = logging.StreamHandler.close


@pytest.fixture(autouse=True, scope="module")
def _little_to_look_through():
    """Keras looks for garbage whenever it begins anew: what is there before a file's tests is left out of it.

    In a process that has loaded the whole suite it took two seconds each time.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _same_servers():
    """No test changes for later ones which servers and stores the commands use that they start."""
    before = {name: os.environ.get(name) for name in ADDRESSES}
    yield
    assert {name: os.environ.get(name) for name in ADDRESSES} == before


@pytest.fixture(autouse=True)
def _own_place(_same_servers, tmp_path_factory, monkeypatch):
    """Every test has a working folder, a cache and an MLflow address of its own."""
    folder = tmp_path_factory.mktemp("place")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FOLDCAM_HOME", str(folder / "foldcam"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    yield
    urllib.request.install_opener(None)  # it keeps the proxies that a test has set
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """An MLflow database without runs, to be copied: making one takes seconds."""
    from tasks.tracking.store import open_client

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    open_client(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def prefect_api():
    """The address of a real Prefect server, one for all tests; it is the API of this process too."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.runners import free_port, local_server

    with local_server(free_port()) as url, temporary_settings({PREFECT_API_URL: url}):
        keep_empty_prefect()
        yield url


@pytest.fixture(scope="module")
def studio(tmp_path_factory, empty_store, prefect_api) -> Studio:
    """A place to run experiments in, shared by a module's tests."""
    return make_studio(tmp_path_factory.mktemp("studio"), empty_store, prefect_api)


@pytest.fixture
def own_studio(tmp_path_factory, empty_store, prefect_api) -> Studio:
    """A place to run experiments in for one test alone."""
    return make_studio(tmp_path_factory.mktemp("studio"), empty_store, prefect_api)
