"""Gives foldcam's flows to a work pool of Prefect's, from which workers take their runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployments import Kind, chosen_of, entries_of, rules_of
from flows.found import found_server
from flows.runners import prefect_server
from flows.shipped import shipped
from flows.timing import machine_timezone
from tasks.config import InputError
from tasks.tracking.store import tracking_uri

DEFAULT_FILE = shipped("prefect.yaml")

A_NEW_FOLDER = "a-new-folder-for-each-run"
"""Stands for no folder in particular: a process worker then makes one for a run, that nobody else may write into."""

SECONDS = 300
"""How long Prefect may take to apply the file."""


@dataclass(frozen=True)
class Deployed:
    """What was given to a work pool, or would be.

    Attributes
    ----------
    pool, kind : str
        The work pool and its type.
    pool_is_new : bool
        Whether it was made now.
    deployments : tuple of dict
        `name`, `flow`, `entrypoint`, `schedules`, `id` (None in a dry run) and `is_new`.
    left_out : dict of str to str
        Why others of the file were not applied, by name.
    dry_run : bool
        Whether nothing was done.
    """

    pool: str
    kind: Kind
    pool_is_new: bool
    deployments: tuple[dict[str, Any], ...]
    left_out: dict[str, str]
    dry_run: bool

    @property
    def worker(self) -> str:
        """The command that starts a worker for the pool."""
        return f"prefect worker start --pool {self.pool} --type {self.kind}"

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam deploy --json`."""
        return {
            "pool": self.pool,
            "type": self.kind,
            "pool_is_new": self.pool_is_new,
            "deployments": list(self.deployments),
            "left_out": self.left_out,
            "dry_run": self.dry_run,
            "worker": self.worker,
        }


def deploy(
    kind: str = "process",
    *,
    pool: str | None = None,
    only: Sequence[str] = (),
    experiment: Path | None = None,
    file: Path | None = None,
    dry_run: bool = False,
) -> Deployed:
    """Apply the file of deployments by Prefect's own `prefect deploy`; the work pool is made if it is not there.

    Parameters
    ----------
    kind : str
        Of the work pool: `process`, `docker` or `kubernetes`.
    pool : str or None
        Its name; None: `foldcam-KIND`.
    only : sequence of str
        Names of deployments, with or without `-KIND`; none: all of this kind.
    experiment : Path or None
        The experiment file that `nightly` runs.
    file : Path or None
        Another file than infra/prefect.yaml.
    dry_run : bool
        Only tell what would be done.

    Raises
    ------
    InputError
        The file or a name in it cannot be used, a variable is missing, there is no server, or Prefect refuses.
    """
    if kind not in get_args(Kind):
        raise InputError(f"--type {kind!r} is none of {', '.join(get_args(Kind))}.")
    own_kind: Any = kind
    pool = pool or f"foldcam-{kind}"
    variables = _variables(pool, experiment)
    source = file or DEFAULT_FILE
    chosen, left_out = chosen_of(entries_of(source), own_kind, only, variables)
    names = [str(own["name"]) for own in chosen]
    with team_server() as url, get_client(sync_client=True) as client:
        pool_is_new = _needs_pool(client, pool, kind)
        before = after = _known(client, names)
        if not dry_run:
            if pool_is_new:
                _make_pool(client, pool, kind)
            _apply(source, names, variables | {"PREFECT_API_URL": url})
            after = _known(client, names)
            _without_shared_folder(client, after.values())
    rows = tuple(_row(own, before, after, dry_run) for own in chosen)
    return Deployed(pool, own_kind, pool_is_new, rows, left_out, dry_run)


@contextmanager
def team_server() -> Iterator[str]:
    """Give the address of the Prefect server that lasts: the team's, or one that runs on this machine.

    Raises
    ------
    InputError
        There is none, or it does not answer.
    """
    if PREFECT_API_URL.value():
        with prefect_server() as url:
            yield url
        return
    with found_server() as found:
        if found is None:
            raise InputError(
                "There is no Prefect server that would keep this. Name the team's by PREFECT_API_URL, such as "
                "http://127.0.0.1:4200/api, or start one here: `foldcam ui` in another terminal."
            )
        with temporary_settings({PREFECT_API_URL: found}):
            yield found


def _variables(pool: str, experiment: Path | None) -> dict[str, str]:
    own = {
        "FOLDCAM_FOLDER": A_NEW_FOLDER if tracking_uri().startswith("http") else str(Path.cwd()),
        "FOLDCAM_IMAGE": f"foldcam:{version('foldcam')}",
        "FOLDCAM_TIMEZONE": machine_timezone(),
    }
    own |= {name: value for name, value in os.environ.items() if value}
    if experiment is not None:
        own["FOLDCAM_EXPERIMENT"] = str(experiment.expanduser().absolute())
    return own | {"FOLDCAM_POOL": pool}


def _needs_pool(client: SyncPrefectClient, pool: str, kind: str) -> bool:
    try:
        found = client.read_work_pool(pool)
    except ObjectNotFound:
        return True
    if found.type != kind:
        raise InputError(
            f"The work pool {pool} is there already and is of type {found.type}, not {kind}. Give another name by "
            f"--pool, or --type {found.type}."
        )
    return False


def _make_pool(client: SyncPrefectClient, pool: str, kind: str) -> None:
    """Make a work pool with the job template that Prefect has for its type."""
    of_kind = {name: own for package in client.read_worker_metadata().values() for name, own in package.items()}
    template = of_kind[kind]["default_base_job_configuration"]
    client.create_work_pool(WorkPoolCreate(name=pool, type=kind, base_job_template=template))


def _apply(file: Path, names: Sequence[str], variables: Mapping[str, str]) -> None:
    chosen = [part for name in names for part in ("--name", name)]
    command = [sys.executable, "-P", "-m", "prefect", "--no-prompt", "deploy", "--prefect-file", str(file), *chosen]
    try:
        done = subprocess.run(
            command,
            env=dict(variables) | {"NO_COLOR": "1", "COLUMNS": "400"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(
            f"`prefect deploy` took longer than {SECONDS} seconds and was ended. See whether Prefect's server is well "
            "(`foldcam doctor`), and call again: what is applied already is only brought up to date."
        ) from None
    if done.returncode:
        said = [line.strip(" │╭╮╰╯─") for line in (done.stderr + done.stdout).splitlines()]
        last = next((line for line in reversed(said) if line), f"exit code {done.returncode}")
        raise InputError(f"`prefect deploy` refused {file}: {last}")


def _without_shared_folder(client: SyncPrefectClient, deployments: Iterable[tuple[Any, str]]) -> None:
    """Leave it to the worker where runs work: Python takes modules from there, and all may write into `/tmp`."""
    for own, _ in deployments:
        if own.job_variables.get("working_dir") == A_NEW_FOLDER:
            kept = {name: value for name, value in own.job_variables.items() if name != "working_dir"}
            client.update_deployment(own.id, DeploymentUpdate(job_variables=kept))


def _known(client: SyncPrefectClient, names: Sequence[str]) -> dict[str, Any]:
    wanted = DeploymentFilter(name=DeploymentFilterName(any_=list(names)))
    flows: dict[Any, str] = {}
    found = {}
    for own in client.read_deployments(deployment_filter=wanted):
        flows.setdefault(own.flow_id, client.read_flow(own.flow_id).name)
        found[own.name] = (own, flows[own.flow_id])
    return found


def _row(entry: dict[str, Any], before: Mapping[str, Any], after: Mapping[str, Any], dry_run: bool) -> dict[str, Any]:
    name = str(entry["name"])
    own, flow = after.get(name, (None, None))
    return {
        "name": name,
        "flow": flow,
        "entrypoint": entry["entrypoint"],
        "schedules": rules_of(entry),
        "id": None if own is None or dry_run else str(own.id),
        "is_new": name not in before,
    }
