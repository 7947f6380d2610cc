"""Looks at all that an experiment will need, and says what to mend: the parts of `foldcam doctor` in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.doctor_servers import check_mlflow, check_prefect, check_sign_in
from tasks.care.devices import Seen, ask_tensorflow, check_devices
from tasks.care.findings import Finding, State, asked, worst
from tasks.care.folders import check_cache_folder, check_leftovers
from tasks.care.space import check_artifact_space, check_cache_space, check_free_space, check_memory, needs_of
from tasks.care.variables import check_variables
from tasks.care.versions import check_versions
from tasks.config import Experiment, InputError
from tasks.dataset.sources.readers import read_records
from tasks.dataset.store import cache_home, open_store
from tasks.dataset.wording import counted
from tasks.experiment_file import read_experiment
from tasks.planning import check_settings
from tasks.tracking.outbox import Outbox

STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "fault": "bold red"}

Watch = Callable[[str], None]


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor has found, in the order in which it looked."""

    findings: tuple[Finding, ...]

    @property
    def state(self) -> State:
        """The worst of all."""
        return worst(self.findings)

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON object."""
        return {"status": self.state, "checks": [found.to_json() for found in self.findings]}


@dataclass(frozen=True)
class _Asked:
    """The experiment that the doctor was asked about, as far as it can be read."""

    experiment: Experiment | None = None
    n_images: int = 0
    n_classes: int = 2


def examine(file: Path | None, *, quick: bool = False, watch: Watch = lambda _: None) -> Diagnosis:
    """Look at the installation, the stores and servers and, with a file, at what its experiment needs.

    Parameters
    ----------
    file : Path or None
        An experiment file.
    quick : bool
        Do not load TensorFlow: neither its devices nor what the experiment takes on disk are known then.
    watch : callable
        Is called with what is looked at.
    """
    watch("versions and settings")
    found = [*asked("packages", check_versions), *asked("settings", check_variables)]
    about, of_file = _read(file)
    found += of_file
    watch("the cache")
    cache = cache_home()
    found += asked("cache", lambda: check_cache_folder(cache))
    found += asked("leftovers", lambda: check_leftovers(cache, len(Outbox().parcels())))
    watch("MLflow's store")
    name = about.experiment.name if about.experiment is not None else None
    stored, artifacts = check_mlflow(name)
    found += stored
    watch("Prefect")
    found += asked("prefect", check_prefect)
    found += asked("sign_in", check_sign_in)
    if not quick:
        watch("TensorFlow (some seconds)")
    seen = None if quick else ask_tensorflow(about.experiment, about.n_images, about.n_classes)
    found += asked("devices", lambda: check_devices(seen))
    found += asked("space", lambda: _space(about, seen, cache, artifacts))
    return Diagnosis(tuple(found))


def print_diagnosis(diagnosis: Diagnosis, console: Console) -> None:
    """Print one line a check, and what to mend below it."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column("state", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("found", overflow="fold")
    for found in diagnosis.findings:
        mend = f"\n[dim]→[/dim] {escape(found.mend)}" if found.mend and found.state != "ok" else ""
        style = STYLES[found.state]
        table.add_row(f"[{style}]{found.state}[/{style}]", escape(found.code), escape(found.said) + mend)
    console.print(table)
    counts = {state: sum(found.state == state for found in diagnosis.findings) for state in STYLES}
    said = f"{counted(counts['fault'], 'fault')}, {counted(counts['warning'], 'warning')}, {counts['ok']} ok."
    console.print(said, highlight=False)


def _read(file: Path | None) -> tuple[_Asked, list[Finding]]:
    """Read the experiment file and count its images, without opening any."""
    if file is None:
        return _Asked(), []
    try:
        experiment = read_experiment(file, [])
        if experiment.data.labels.kind != "none":
            check_settings(experiment)
    except InputError as fault:
        return _Asked(), [Finding("file", "fault", str(fault))]
    found = [Finding("file", "ok", f"{file} can be read: {', '.join(experiment.backbones)}")]
    if not isinstance(experiment.data.path, Path):
        mend = "`foldcam check FILE` fetches and reads it"
        said = f"the images lie at {experiment.data.path}, and were not looked for"
        return _Asked(experiment), [*found, Finding("data", "ok", said, mend)]
    try:
        records = read_records(experiment.data)
    except InputError as fault:
        return _Asked(experiment), [*found, Finding("data", "fault", str(fault))]
    classes = {str(record.label) for record in records if record.label is not None}
    said = f"{counted(len(records), 'image')} below {experiment.data.path}; `foldcam check` opens them"
    return _Asked(experiment, len(records), max(2, len(classes))), [*found, Finding("data", "ok", said)]


def _space(about: _Asked, seen: Seen | None, cache: Path, artifacts: Path | None) -> list[Finding]:
    experiment = about.experiment
    if experiment is None:
        return check_free_space(cache)
    found = check_memory(experiment)
    if seen is None or not seen.sizes or not about.n_images:
        return [*check_free_space(cache), *found]
    needs = needs_of(experiment, about.n_images, seen.sizes)
    held = sum(entry["bytes"] for entry in open_store().entries()) / 1e9
    found = [*check_cache_space(experiment, needs, cache, held), *found]
    return found + ([] if artifacts is None else check_artifact_space(needs, artifacts))
