"""Shows the comparison that the record holds of one experiment."""

from __future__ import annotations

import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.display import ranking_table
from tasks.comparison.ranking import rank
from tasks.comparison.standings.recorded import NOT_COMPARED, comparison_of, letters_of, verdict_of
from tasks.comparison.summary import Summary
from tasks.config import InputError
from tasks.dataset.store import cache_home
from tasks.evaluation.metrics import higher_is_better
from tasks.tracking.artifacts import Artifacts
from tasks.tracking.lookup import PARTS, RecordedExperiment, newest_experiment
from tasks.tracking.store import local_copy, local_path, open_client, tracking_uri

REPORT = "report.html"


@dataclass(frozen=True)
class Recorded:
    """What the record says of an experiment.

    Attributes
    ----------
    found : RecordedExperiment
        Its runs.
    comparison : mapping or None
        What its run holds in `comparison.json`; None where it has none.
    report : Path or None
        Its page on this machine; None where it has none, or where the store is elsewhere and it was not asked for.
    """

    found: RecordedExperiment
    comparison: Mapping[str, Any] | None
    report: Path | None

    @property
    def sentences(self) -> list[str]:
        """What stands under the ranking."""
        if self.comparison is None and any(own.folds_finished for own in self.found.backbones.values()):
            return [NOT_COMPARED]
        return verdict_of(self.comparison)

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam compare --json`."""
        found = self.found
        return {
            "experiment": found.name,
            "experiment_run_id": found.run_id,
            "status": found.status,
            "data_digest": found.data_digest,
            "metric": found.metric,
            "backbones": {
                name: {
                    "run_id": own.run_id,
                    "status": own.status,
                    "folds_finished": own.folds_finished,
                    "metrics": {metric: {part: parts.get(part) for part in PARTS} for metric, parts in own.cv.items()},
                    "oof": dict(own.oof),
                    "oof_intervals": {metric: dict(ends) for metric, ends in own.oof_intervals.items()},
                    "holdout": dict(own.holdout),
                }
                for name, own in found.backbones.items()
            },
            "ranking": ranking_of(found),
            "comparison": self.comparison,
            "report": None if self.report is None else str(self.report),
        }


def recorded(name: str | None, *, bring_report: bool = False) -> Recorded:
    """Give what the record says of the newest experiment run called `name`, or with this run id, or of the newest.

    Parameters
    ----------
    name : str or None
        An experiment's name, or a run id; None: the newest of all.
    bring_report : bool
        Whether the page is copied here from a store that is elsewhere.

    Raises
    ------
    InputError
        There is none, or the store cannot be used.
    """
    client = open_client(tracking_uri())
    found = newest_experiment(client, name)
    folder = cache_home() / "artifacts"

    def fetch(run_id: str, artifact: str) -> Path:
        return local_copy(client, run_id, artifact, folder)

    is_here = local_path(client.get_run(found.run_id).info.artifact_uri) is not None
    has_report = (is_here or bring_report) and REPORT in Artifacts(client, folder).names(found.run_id)
    return Recorded(found, comparison_of(found.run_id, fetch), fetch(found.run_id, REPORT) if has_report else None)


def open_report(own: Recorded, console: Console) -> None:
    """Open an experiment's page in the browser, and print where it is.

    Raises
    ------
    InputError
        It has no page.
    """
    if own.report is None:
        raise InputError(
            f"The experiment {own.found.name!r} (MLflow run {own.found.run_id}) has no {REPORT}: it is "
            f"{own.found.status}. `foldcam run FILE` goes on with it and writes the page at the end."
        )
    opened = webbrowser.open(own.report.absolute().as_uri())
    said = "Opened" if opened else "There is no browser here; open it yourself:"
    console.print(f"{said} {own.report}", markup=False, highlight=False, soft_wrap=True)


def print_recorded(own: Recorded, console: Console) -> None:
    """Print the ranking, how far it can be trusted, and where it comes from."""
    found = own.found
    console.print(
        ranking_table(
            summaries_of(found),
            found.metric,
            higher_is_better=higher_is_better(found.metric),
            folds_completed={name: backbone.folds_finished for name, backbone in found.backbones.items()},
            n_folds=found.n_folds,
            width=console.width,
            letters=letters_of(own.comparison),
        )
    )
    for line in (
        *own.sentences,
        *([f"Report: {own.report}"] if own.report else []),
        f"Experiment {found.name!r}, run {found.run_id}, {found.status}; data {found.data_digest[:12]}.",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def ranking_of(found: RecordedExperiment) -> list[str]:
    """Give the backbones that have figures, by the mean of the experiment's metric, best first."""
    finished = {name: own for name, own in summaries_of(found).items() if own}
    return rank(finished, found.metric, higher_is_better=higher_is_better(found.metric))


def summaries_of(found: RecordedExperiment) -> dict[str, dict[str, Summary]]:
    """Give each metric's mean, spread and interval over folds, by backbone, without the folds' own values."""
    return {
        name: {
            metric: Summary(**{part: parts.get(part) for part in PARTS}, folds=[]) for metric, parts in own.cv.items()
        }
        for name, own in found.backbones.items()
    }
