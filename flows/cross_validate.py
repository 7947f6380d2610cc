"""The experiment: every backbone on every fold, in parallel, then compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.comparison.results import ExperimentResult
from tasks.config import Experiment
from tasks.experiment_file import read_experiment
from tasks.planning import load_plan
from tasks.survey import Request, announce, recall, survey
from tasks.tracking.ledger import Ledger
from tasks.tracking.store import tracking_uri
from tasks.workers.pool import WorkerPool
from tasks.workers.slots import slots


def cross_validate(
    experiment: Experiment | str | Path,
    *,
    backbones: Sequence[str] | None = None,
    folds: Sequence[int] | None = None,
    fresh: bool = False,
) -> ExperimentResult:
    """Run an experiment and give its result; what is done already is reused.

    Parameters
    ----------
    experiment : Experiment, str or Path
        The settings, or the experiment file.
    backbones, folds : sequence of str, of int, or None
        Do only these; None: all.
    fresh : bool
        Do again what is done already.

    Returns
    -------
    ExperimentResult
        The fields of `foldcam run --json`, and data frames of metrics, out-of-fold predictions and runs.

    Raises
    ------
    InputError
        The settings, the data or a server cannot be used; nothing was trained.
    """
    if not isinstance(experiment, Experiment):
        experiment = read_experiment(Path(experiment))
    request = Request(None if backbones is None else tuple(backbones), None if folds is None else tuple(folds), fresh)
    plan = load_plan(experiment, fresh=fresh)
    ledger = Ledger(tracking_uri(), experiment.name)
    found = survey(plan, request, ledger)
    known = recall(plan, found, ledger)
    places = [] if known is not None else slots(experiment.runner)[: max(1, len(found.missing))]
    announce(plan, found, len(places))
    if known is not None:
        return known
    threads = experiment.runner.threads_per_worker
    # The workers load TensorFlow while this process loads Prefect, its server comes up and the images are decoded.
    with WorkerPool(places, threads=threads, deterministic=experiment.deterministic) as pool:
        from flows.experiment import run_experiment

        return run_experiment(experiment, request, pool)
