"""The experiment: every backbone on every fold, in parallel, then compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flows.alone import done_alone
from flows.observing import tell_libraries
from flows.workforce import workforce
from tasks.comparison.results import ExperimentResult
from tasks.config import Experiment
from tasks.experiment_file import read_experiment
from tasks.planning import load_plan
from tasks.survey import Request, announce, recall, survey, tell_other_versions
from tasks.tracking.ledger import Ledger
from tasks.tracking.patience import Unreachable
from tasks.tracking.store import tracking_uri
from tasks.workers.plan import Plan


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
    return done_alone(experiment.name, lambda: load_plan(experiment, fresh=fresh), lambda plan: _done(plan, request))


def _done(plan: Plan, request: Request) -> ExperimentResult:
    experiment = plan.experiment
    ledger = Ledger(tracking_uri(), experiment.name)
    ledger.deliver_left()
    found = survey(plan, request, ledger)
    known = recall(plan, found, ledger)
    if known is not None:
        announce(plan, found, 0)
        return known
    if not request.fresh:
        tell_other_versions(found, ledger)
    # The workers load TensorFlow while this process loads Prefect, its server comes up and the images are decoded.
    with workforce(experiment, len(found.missing)) as work:
        announce(plan, found, min(work.size, max(1, len(found.missing))))
        from flows.experiment import run_experiment

        tell_libraries()
        try:
            return run_experiment(experiment, request, work)
        except Unreachable as fault:
            raise ledger.unfinished(fault) from fault
