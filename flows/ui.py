"""Serves MLflow's and Prefect's pages for the stores in use, until it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from prefect.settings import PREFECT_API_URL

from flows.runners import (
    end_process,
    free_port,
    local_server,
    no_proxy_for_loopback,
    port_is_free,
    start_server,
    wait_for,
)
from tasks.tracking.store import open_client, tracking_uri

MLFLOW_PORT, PREFECT_PORT = 5000, 4200


def serve_pages(say: Callable[[str], None]) -> None:
    """Start what is not served elsewhere already, print the addresses, and wait until interrupted.

    Raises
    ------
    InputError
        A server did not come up.
    """
    with ExitStack() as stack:
        uri, api = tracking_uri(), PREFECT_API_URL.value()
        if uri.startswith("http"):
            say(f"MLflow:  {uri}")
        else:
            say(f"MLflow:  {stack.enter_context(mlflow_server(uri, _port(MLFLOW_PORT)))}")
        if api:
            say(f"Prefect: {str(api).removesuffix('/api')}")
        else:
            url = stack.enter_context(local_server(_port(PREFECT_PORT), pages=True))
            say(f"Prefect: {url.removesuffix('/api')}")
        say("Ctrl-C ends both.")
        while True:
            time.sleep(3600)


@contextmanager
def mlflow_server(uri: str, port: int) -> Iterator[str]:
    """Run MLflow's server over a local store, on loopback only, while the block lasts; give its address.

    Raises
    ------
    InputError
        It did not come up.
    """
    no_proxy_for_loopback()
    open_client(uri)
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    # An address may hold a database's password, and everyone on a machine can read command lines.
    process = start_server(command, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_BACKEND_STORE_URI=uri)
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, "MLflow's server", port=port)
        yield f"http://127.0.0.1:{port}"
    finally:
        end_process(process)


def _port(wanted: int) -> int:
    return wanted if port_is_free(wanted) else free_port()
