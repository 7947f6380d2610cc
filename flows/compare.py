"""Shows the comparison that the record holds."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from flows.display import ranking_table
from tasks.comparison.ranking import rank
from tasks.comparison.summary import Summary
from tasks.evaluation.metrics import higher_is_better
from tasks.tracking.lookup import PARTS, RecordedExperiment, newest_experiment
from tasks.tracking.store import open_client, tracking_uri


def recorded(name: str | None) -> RecordedExperiment:
    """Give the newest experiment run called `name`, or the newest of all.

    Raises
    ------
    InputError
        There is none, or the store cannot be used.
    """
    return newest_experiment(open_client(tracking_uri()), name)


def to_json(found: RecordedExperiment) -> dict[str, Any]:
    """Give the JSON object of `foldcam compare --json`."""
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
                "holdout": dict(own.holdout),
            }
            for name, own in found.backbones.items()
        },
        "ranking": _ranking(found),
    }


def print_recorded(found: RecordedExperiment, console: Console) -> None:
    """Print the ranking and where it comes from."""
    console.print(
        ranking_table(
            _summaries(found),
            found.metric,
            higher_is_better=higher_is_better(found.metric),
            folds_completed={name: own.folds_finished for name, own in found.backbones.items()},
            n_folds=found.n_folds,
            width=console.width,
        )
    )
    console.print(
        f"Experiment {found.name!r}, run {found.run_id}, {found.status}; data {found.data_digest[:12]}.",
        markup=False,
        highlight=False,
    )


def _ranking(found: RecordedExperiment) -> list[str]:
    finished = {name: own for name, own in _summaries(found).items() if own}
    return rank(finished, found.metric, higher_is_better=higher_is_better(found.metric))


def _summaries(found: RecordedExperiment) -> dict[str, dict[str, Summary]]:
    return {
        name: {
            metric: Summary(**{part: parts.get(part) for part in PARTS}, folds=[]) for metric, parts in own.cv.items()
        }
        for name, own in found.backbones.items()
    }
