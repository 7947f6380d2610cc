"""Servers that flows need, and their ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

# Read when Prefect is imported.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "true")

import psutil
from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from flows.found import START_SECONDS, answers, found_server, leave_note, note_of
from flows.notes import ending
from tasks.config import InputError
from tasks.workers.events import StepEvent, publish

DRAIN_SECONDS = 3
"""How long to wait for what is queued for Prefect to be sent."""

RECORD_SECONDS = 15
"""How long to wait at the end for Prefect's server to have recorded every task run."""


@contextmanager
def prefect_server() -> Iterator[str]:
    """Give the address of Prefect's API: the one that is set, one that runs here already, or a server of our own.

    A server of foldcam's stays up while the block lasts, whoever has started it.

    Raises
    ------
    InputError
        The server that is set does not answer, or our own did not come up.
    """
    configured = PREFECT_API_URL.value()
    if configured:
        with get_client(sync_client=True) as client:
            fault = client.api_healthcheck()
        if fault is not None:
            raise InputError(
                f"Prefect's server at {configured} does not answer: {fault}. Start it, correct PREFECT_API_URL, or "
                "unset it (`prefect config unset PREFECT_API_URL` where a profile sets it): foldcam then runs its own."
            )
        yield str(configured)
        return
    no_proxy_for_loopback()
    with found_server() as found:
        if found is not None:
            publish(StepEvent(f"using the Prefect server that runs at {found.removesuffix('/api')}"))
            with temporary_settings({PREFECT_API_URL: found}):
                yield found
            return
    publish(StepEvent("starting a Prefect server"))
    with local_server(free_port()) as url, temporary_settings({PREFECT_API_URL: url}):
        yield url


@contextmanager
def local_server(port: int, *, pages: bool = False) -> Iterator[str]:
    """Run Prefect's server on the user's own database, on loopback only, while the block lasts; give its API's address.

    Other processes of foldcam's find it, and it lasts until the last of them has left it. Pages of other origins may
    not read what it answers: Prefect's own default lets all of them.

    Raises
    ------
    InputError
        It did not come up.
    """
    no_proxy_for_loopback()
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    note = note_of(port)
    variables = {"PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}"}
    if pages:
        variables["PREFECT_SERVER_UI_STATIC_DIRECTORY"] = str(_folder_for_pages())
    process = start_server([*command, *([] if pages else ["--no-ui"])], note, **variables)
    try:
        leave_note(note, port, process.pid)
        wait_for(f"http://127.0.0.1:{port}/api/health", process, "Prefect's server", port=port)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        _leave(process, note)


def _folder_for_pages() -> Path:
    """Give where Prefect puts its pages: its default, beside its code, cannot be written everywhere."""
    folder = Path(PREFECT_HOME.value(), "foldcam-pages")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _leave(process: subprocess.Popen[bytes], note: Path) -> None:
    """End a server of our own, or leave it to its keeper if others use it."""
    with ending(note) as free:
        if free:
            end_process(process)
    if not free and process.stdin is not None:
        process.stdin.close()


def start_server(module: Sequence[str], note: Path | None = None, **variables: str) -> subprocess.Popen[bytes]:
    """Start a Python module as a server, in a process group of its own, that does not outlive its users.

    These are this process, and whoever holds its note.
    """
    python = [sys.executable, "-P", "-m"]
    return subprocess.Popen(
        [*python, "flows.kept", str(note or ""), *python, *module],
        env=os.environ | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def no_proxy_for_loopback() -> None:
    """Let this process and its children reach servers on this machine past any proxy that is set."""
    for name in ("no_proxy", "NO_PROXY"):
        known = [part for part in os.environ.get(name, "").split(",") if part]
        os.environ[name] = ",".join(dict.fromkeys([*known, "127.0.0.1", "localhost"]))


def wait_for(url: str, process: subprocess.Popen[bytes], what: str, *, port: int | None = None) -> None:
    """Wait until an address answers.

    Parameters
    ----------
    url : str
        The address, on this machine.
    process : Popen
        What was started to answer there.
    what : str
        Its name, for people.
    port : int or None
        Its port; None: whoever answers is taken for it. Another's server may have taken the port in the seconds that
        this one needed to start.

    Raises
    ------
    InputError
        The process ended, or did not answer in time.
    """
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            taken = "" if port is None or port_is_free(port) else f" Another program has taken port {port}: call again."
            raise InputError(f"{what} ended at once with exit code {process.returncode}.{taken}")
        if answers(url) and (port is None or _listens(process, port)):
            return
        time.sleep(0.1)
    raise InputError(f"{what} did not answer at {url} within {START_SECONDS} seconds.")


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    """Tell whether a process, or one that it has started, listens on a port."""
    with suppress(psutil.Error):
        starter = psutil.Process(process.pid)
        for own in (starter, *starter.children(recursive=True)):
            with suppress(psutil.Error):
                links = own.net_connections("tcp")
                if any(link.status == psutil.CONN_LISTEN and link.laddr.port == port for link in links):
                    return True
    return False


def end_process(process: subprocess.Popen[bytes]) -> None:
    """End a server: politely, and after five seconds for good."""
    signal_group(process, signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        signal_group(process, signal.SIGKILL)
        process.wait()


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send a signal to a process that leads a group of its own, and to all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def free_port() -> int:
    """Give a port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Tell whether nothing listens on a port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def settle(flow_run_id: UUID | None = None) -> None:
    """Send Prefect what is queued for it, and wait until it has recorded the end of every task run.

    Without this a server of our own would be gone before its clients were done, and they would wait for it at exit.
    """
    for queue in (EventsWorker, APILogWorker):
        queue.drain_all(timeout=DRAIN_SECONDS)
    if flow_run_id is None:
        return
    until = time.monotonic() + RECORD_SECONDS
    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
    with get_client(sync_client=True) as client:
        while time.monotonic() < until:
            states = [run.state for run in client.read_task_runs(flow_run_filter=wanted)]
            if states and all(state is not None and state.is_final() for state in states):
                return
            time.sleep(0.2)


def settled(own: Any, *arguments: Any) -> State[Any]:
    """Run a flow, wait until Prefect has recorded it, and give its final state.

    Raises
    ------
    HTTPError
        Prefect's server has gone for good meanwhile. What the flow has done is done.
    """
    flow_run_id = None
    try:
        state: State[Any] = own(*arguments, return_state=True)
        flow_run_id = state.state_details.flow_run_id
    finally:
        publish(StepEvent("waiting for Prefect's records"))
        with suppress(HTTPError):
            settle(flow_run_id)
    return state


def fault_of(state: State[Any]) -> BaseException:
    """Give what a flow failed of."""
    fault = state.result(raise_on_failure=False)
    return fault if isinstance(fault, BaseException) else RuntimeError(state.message or "the flow gave no result")
