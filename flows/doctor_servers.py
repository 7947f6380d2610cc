"""The doctor's look at MLflow, at Prefect and at how the user signs in to them."""

from __future__ import annotations

import os
from pathlib import Path

from flows.credentials import SAFE, stored
from tasks.care.findings import Finding, asked
from tasks.care.servers import check_answers
from tasks.config import InputError
from tasks.dataset.wording import counted, listed
from tasks.tracking import health
from tasks.tracking.refusals import checked_address, refusal_of
from tasks.tracking.store import open_client, tracking_uri

START_MLFLOW = "Start the server, or correct MLFLOW_TRACKING_URI; unset it to use a store in the working folder"
START_PREFECT = "Start the server, or correct PREFECT_API_URL; unset it, and foldcam runs its own"


def check_mlflow(experiment: str | None) -> tuple[list[Finding], Path | None]:
    """Find whether MLflow's store can be reached, signed in to and written to; gives the artifacts' folder too.

    The folder is None where artifacts do not lie on this machine.
    """
    place: list[Path | None] = [None]

    def look() -> list[Finding]:
        uri = tracking_uri()
        found, served = [], uri.startswith("http")
        if served:
            found = check_answers("mlflow", "MLflow's server", f"{uri.rstrip('/')}/health", START_MLFLOW)
            if found[0].state == "fault":
                return found
        try:
            client = open_client(uri)
        except InputError as fault:
            return [*found, Finding("mlflow.sign_in" if served else "mlflow.store", "fault", str(fault))]
        who = os.environ.get("MLFLOW_TRACKING_USERNAME")
        said = f"MLflow takes the sign-in of {who}" if who else "MLflow wants no sign-in"
        found.append(Finding("mlflow.sign_in", "ok", said) if served else Finding("mlflow.store", "ok", uri))
        kept = health.try_artifacts(client, uri, experiment)
        place[0] = kept.folder
        return [*found, _artifacts(kept), *_orphans(health.orphans(client))]

    with health.without_waiting():
        return asked("mlflow", look), place[0]


def _artifacts(kept: health.Artifacts) -> Finding:
    if kept.fault:
        mend = "Give this user the right to write there, or make room; see docs/servers.md for the artifact store"
        return Finding("mlflow.artifacts", "fault", f"nothing can be kept at {kept.uri}: {kept.fault}", mend)
    return Finding("mlflow.artifacts", "ok", f"{kept.uri}: written, read and deleted")


def _orphans(runs: list[str]) -> list[Finding]:
    if not runs:
        return []
    verb = "are recorded as running, and their" if len(runs) > 1 else "is recorded as running, and its"
    said = f"{counted(len(runs), 'run')} {verb} process is gone: {listed(runs, 3)}"
    return [Finding("leftovers.runs", "warning", said, "The next `foldcam run` of their experiment ends them")]


def check_prefect() -> list[Finding]:
    """Find whether Prefect's API can be reached and signed in to; without an address foldcam runs a server itself."""
    from prefect.settings import PREFECT_API_URL

    address = PREFECT_API_URL.value()
    if not address:
        return [Finding("prefect.reached", "ok", "no address is set: foldcam runs a server of its own when needed")]
    url = checked_address(str(address), "PREFECT_API_URL").rstrip("/")
    found = check_answers("prefect", "Prefect's server", f"{url}/health", START_PREFECT)
    return found if found[0].state == "fault" else [*found, *_signed_in(url)]


def _signed_in(url: str) -> list[Finding]:
    import prefect
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    try:
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
            answer = client.request("GET", "/admin/version")
            answer.raise_for_status()
            version = str(answer.json())
    except (HTTPError, ValueError) as fault:
        said = refusal_of(fault) or f"Prefect's server at {url} answers, but not as Prefect does: {fault}"
        return [Finding("prefect.sign_in", "fault", str(said), "" if isinstance(said, InputError) else START_PREFECT)]
    found = [Finding("prefect.sign_in", "ok", "Prefect's server takes the sign-in")]
    if version.split(".")[:2] != prefect.__version__.split(".")[:2]:
        said = f"Prefect's server is {version}, the client here {prefect.__version__}"
        found.append(Finding("prefect.version", "warning", said, "Use one minor version on both sides"))
    return found


def check_sign_in() -> list[Finding]:
    """Find where user and password of the servers come from: the environment, the keyring, or nowhere."""
    servers = [address for address in (tracking_uri(), os.environ.get("PREFECT_API_URL", "")) if _is_server(address)]
    if not servers:
        return [Finding("keyring", "ok", "no server is set that would want a sign-in")]
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    known = {address: own.user for address in servers if (own := stored(address)) is not None}
    entries = [address for address, own in known.items() if user in (None, own)]
    if entries:
        return [Finding("keyring", "ok", f"{_keyring()} has a sign-in for {', '.join(entries)}")]
    given = [name for name in ("MLFLOW_TRACKING_USERNAME", "PREFECT_API_AUTH_STRING") if os.environ.get(name)]
    if given:
        return [Finding("keyring", "ok", f"the sign-in comes from {' and '.join(given)}")]
    return [Finding("keyring", "ok", f"no sign-in is set for {', '.join(servers)}, and {_keyring()} has none")]


def _keyring() -> str:
    import keyring

    backend = keyring.get_keyring()
    return f"the keyring ({backend.name})" if backend.priority >= SAFE else "this machine, without a safe keyring,"


def _is_server(address: str) -> bool:
    return address.startswith(("http://", "https://"))
