"""Writes the folders and CSV files of study E for a recorded experiment."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.watching import Watch
from tasks.comparison.record.export import export_study_e
from tasks.comparison.record.recorded import RecordedSettings, read_settings, recorded_overlays, recorded_rows
from tasks.comparison.text import count, listing
from tasks.config import InputError
from tasks.explanation.methods import METHODS
from tasks.explanation.out_folder import check_out
from tasks.tracking.artifacts import Artifacts
from tasks.tracking.fold_runs import completed_folds
from tasks.tracking.lookup import RecordedExperiment, newest_experiment
from tasks.tracking.store import open_client, tracking_uri


@dataclass(frozen=True)
class ExportedBackbone:
    """What was written of a backbone.

    Attributes
    ----------
    predictions, right, overlays
        Rows of its CSV file, how many of them are right, and how many have an overlay.
    missing_folds : list of int
        Folds that are not done; nothing of them was written.
    """

    predictions: int
    right: int
    overlays: int
    missing_folds: list[int]


@dataclass(frozen=True)
class Export:
    """What was written, from where and to where.

    Attributes
    ----------
    experiment, experiment_run_id, status
        As MLflow has it.
    method
        The method whose overlays were written.
    out
        The folder.
    backbones
        By name; one without a finished fold run is left out.
    warnings
        What is missing, and what to know before the pictures are believed, in sentences.
    """

    experiment: str
    experiment_run_id: str
    status: str
    method: str
    out: Path
    backbones: Mapping[str, ExportedBackbone]
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam export --json`."""
        return asdict(self) | {"out": str(self.out)}


def export(experiment: str, out: Path | str, *, method: str | None = None, watch: Watch | None = None) -> Export:
    """Write study E's folders and CSV files for the newest run of an experiment, from the record alone.

    Parameters
    ----------
    experiment : str
        Its name.
    out : Path or str
        The folder; it must be empty or not there yet. It is there whole or not at all.
    method : str or None
        Whose overlays; None: the first method of the experiment's file.
    watch : callable or None
        Told of each prediction that is written: the backbone, how many are, and how many it has.

    Raises
    ------
    InputError
        There is no such experiment, nothing of it is finished or explained, it was not explained by that method, an
        artifact is gone, or the folder is not empty or cannot be written.
    """
    folder = Path(out).absolute()
    check_out(folder)
    client = open_client(tracking_uri())
    found = newest_experiment(client, experiment)
    with tempfile.TemporaryDirectory(prefix="foldcam-export-") as scratch:
        artifacts = Artifacts(client, Path(scratch))
        settings = read_settings(artifacts, found.run_id)
        chosen = _method(found, settings, method)
        folds = {name: completed_folds(client, artifacts, own.run_id) for name, own in found.backbones.items()}
        rows = {name: recorded_rows(artifacts, runs, settings.targets) for name, runs in folds.items() if runs}
        _refuse_none(found, rows)
        overlays = {
            name: recorded_overlays(artifacts, folds[name], table, chosen, settings.stems)
            for name, table in rows.items()
        }
        written: Counter[str] = Counter()
        totals = {name: len(table) for name, table in rows.items()}
        export_study_e(rows, {name: _counted(name, overlays[name], totals, written, watch) for name in rows}, folder)
    missing = {
        name: [fold for fold in range(found.n_folds) if fold not in folds.get(name, {})] for name in settings.backbones
    }
    backbones = {
        name: ExportedBackbone(len(table), int(table["Right?"].sum()), written[name], missing[name])
        for name, table in rows.items()
    }
    return Export(
        found.name, found.run_id, found.status, chosen, folder, backbones, _warnings(missing, found.n_folds, chosen)
    )


def print_export(done: Export, console: Console) -> None:
    """Print what was written and what is missing."""
    lines = [
        f"{name}: {count(own.predictions, 'prediction')}, {own.right} right and {own.predictions - own.right} wrong; "
        f"{count(own.overlays, 'overlay')} by {done.method}"
        for name, own in done.backbones.items()
    ]
    lines += [f"warn {warning}" for warning in done.warnings]
    lines.append(f"Written to {done.out}: a CSV file and a folder for each backbone.")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _counted(
    name: str, pictures: Iterable[Path | None], totals: Mapping[str, int], written: Counter[str], watch: Watch | None
) -> Iterator[Path | None]:
    """Pass a backbone's pictures on, and count those that there are."""
    for number, picture in enumerate(pictures, start=1):
        written[name] += picture is not None
        if watch is not None:
            watch(name, number, totals[name])
        yield picture


def _warnings(missing: Mapping[str, Sequence[int]], n_folds: int, method: str) -> list[str]:
    """Say which folds of which backbones are not done, and why the method's pictures are no evidence."""
    known = METHODS.get(method)
    found = []
    if known is not None and known.fails_sanity_checks:
        found.append(f"{known.title} fails sanity checks: {known.fails_sanity_checks}.")
    for name, folds in missing.items():
        if len(folds) == n_folds:
            found.append(f"{name}: no fold is finished, so nothing of it was written.")
        elif folds:
            which = f"{'fold' if len(folds) == 1 else 'folds'} {listing([str(fold) for fold in folds])}"
            found.append(f"{name}: {which} of {n_folds} not finished, and not written.")
    return found


def _refuse_none(found: RecordedExperiment, rows: Mapping[str, object]) -> None:
    if not rows:
        raise InputError(
            f"No fold run of the experiment {found.name!r} (MLflow run {found.run_id}) is finished, so there is "
            "nothing to export yet. `foldcam run FILE` goes on with it."
        )


def _method(found: RecordedExperiment, settings: RecordedSettings, wanted: str | None) -> str:
    if not settings.methods:
        raise InputError(
            f"The experiment {found.name!r} was run with `explanation.max_images: 0`, so that no image was explained "
            "and there are no overlays to sort. Run it again with a larger number; each backbone's predictions are in "
            "`report.csv` of its run in MLflow."
        )
    if wanted is None or wanted in settings.methods:
        return wanted or settings.methods[0]
    near = get_close_matches(wanted, settings.methods, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise InputError(
        f"--method: the experiment {found.name!r} was not explained by {wanted!r}.{hint} It has: "
        f"{', '.join(settings.methods)}. Others are named in `explanation.methods` of its file before it is run."
    )
