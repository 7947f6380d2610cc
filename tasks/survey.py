"""What is asked for, what the record has already, and what is left to do."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from tasks.comparison.backbone import Fetch, read_out_of_fold, summaries
from tasks.comparison.champion.crowned import crowned_of
from tasks.comparison.experiment import ranking
from tasks.comparison.looks.content import notes_of
from tasks.comparison.results import BackboneResult, ExperimentResult, FoldResult
from tasks.comparison.standings.recorded import comparison_of
from tasks.config import Experiment, InputError
from tasks.dataset.wording import counted
from tasks.tracking.intervals import values_alone
from tasks.tracking.ledger import Known, Ledger
from tasks.tracking.registry import Registry
from tasks.tracking.releases import other_versions
from tasks.tracking.runs import FoldRecord
from tasks.tracking.store import local_copy, tracking_uri
from tasks.workers.events import FoldEvent, PlanEvent, StepEvent, publish
from tasks.workers.plan import Cell, Plan


@dataclass(frozen=True)
class Request:
    """Which part of an experiment is asked for; None: all of it.

    Attributes
    ----------
    backbones : tuple of str or None
        Names from the experiment.
    folds : tuple of int or None
        Fold numbers.
    fresh : bool
        Do again what is done already.
    """

    backbones: tuple[str, ...] | None = None
    folds: tuple[int, ...] | None = None
    fresh: bool = False

    def cells(self, plan: Plan) -> list[Cell]:
        """Give the fold runs that are asked for, backbone by backbone.

        Raises
        ------
        InputError
            A backbone or fold is not part of the experiment.
        """
        check_backbones(plan.experiment, self.backbones)
        for fold in self.folds or ():
            if not 0 <= fold < plan.n_folds:
                raise InputError(f"There is no fold {fold}: the experiment has the folds 0 to {plan.n_folds - 1}.")
        backbones = [name for name in plan.backbones if self.backbones is None or name in self.backbones]
        folds = [fold for fold in range(plan.n_folds) if self.folds is None or fold in self.folds]
        return [(backbone, fold) for backbone in backbones for fold in folds]


def check_backbones(experiment: Experiment, wanted: Sequence[str] | None) -> None:
    """Refuse backbones that the experiment does not have.

    Raises
    ------
    InputError
        With the nearest name.
    """
    known = list(experiment.backbones)
    for name in wanted or ():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise InputError(f"The experiment has no backbone {name!r}.{hint} It has: {', '.join(known)}.")


@dataclass(frozen=True)
class Survey:
    """What is left to do.

    Attributes
    ----------
    known : Known
        What the record has.
    wanted : list of (backbone, fold)
        What is asked for.
    missing : list of (backbone, fold)
        What of it has to be done now.
    """

    known: Known
    wanted: list[Cell]
    missing: list[Cell]


def survey(plan: Plan, request: Request, ledger: Ledger) -> Survey:
    """Look up the plan's fold runs in the record."""
    known = ledger.look_up(plan.fingerprint, plan.fingerprints)
    wanted = request.cells(plan)
    missing = [cell for cell in wanted if request.fresh or plan.fingerprints[cell] not in known.folds]
    return Survey(known, wanted, missing)


def reused(record: FoldRecord, cell: Cell) -> FoldResult:
    """Give a fold run of the record as a result."""
    return FoldResult(*cell, "reused", record.run_id, seconds=record.seconds, metrics=record.metrics)


def reused_folds(plan: Plan, found: Survey) -> dict[Cell, FoldResult]:
    """Give the results of all fold runs of the experiment that the record has and that are not done again."""
    again = set(found.missing)
    return {
        cell: reused(found.known.folds[fingerprint], cell)
        for cell, fingerprint in plan.fingerprints.items()
        if cell not in again and fingerprint in found.known.folds
    }


def backbones_of(plan: Plan, cells: Collection[Cell]) -> tuple[str, ...]:
    """Give the backbones that some fold runs are of, in the order of the file."""
    named = {backbone for backbone, _ in cells}
    return tuple(name for name in plan.backbones if name in named)


def fetcher(plan: Plan, ledger: Ledger) -> Fetch:
    """Give what finds the runs' artifacts: where they lie, or copies in the cache when the store is remote.

    An artifact is fetched once, however often it is asked for: ask a new one for what has been written since.
    """
    folder = plan.cache_folder / "artifacts"
    return cache(lambda run_id, artifact: local_copy(ledger.client, run_id, artifact, folder))


def announce(plan: Plan, found: Survey, workers: int) -> None:
    """Tell listeners which fold runs there will be, and which of them are done already."""
    done, metric = reused_folds(plan, found), plan.experiment.metric
    cells = {*found.wanted, *done}
    publish(PlanEvent(backbones_of(plan, cells), tuple(sorted({fold for _, fold in cells})), metric, workers))
    for (backbone, fold), result in done.items():
        publish(FoldEvent(backbone, fold, "reused", metric=metric, value=result.metrics.get(metric)))


def tell_other_versions(found: Survey, ledger: Ledger) -> None:
    """Tell listeners that fold runs are to be done which another version of foldcam has done already."""
    missing = {backbone for backbone, _ in found.missing}
    others = other_versions(ledger.client, ledger.runs.experiment_id, missing) if missing else {}
    if others:
        made = " and ".join(f"{counted(number, 'fold run')} of foldcam {which}" for which, number in others.items())
        said = "not reused, since versions are part of what decides a result; they stay in the record"
        publish(StepEvent(f"the record has {made}: {said}"))


def recall(plan: Plan, found: Survey, ledger: Ledger) -> ExperimentResult | None:
    """Give the result of an experiment with nothing left to do from the record alone; None if it is not whole there."""
    if found.missing or found.known.run_id is None:
        return None
    tree = ledger.runs.completed_tree(found.known.run_id)
    done = reused_folds(plan, found)
    names = backbones_of(plan, done)
    if tree is None or not all(name in tree for name in names):
        return None

    fetch = fetcher(plan, ledger)
    comparison = comparison_of(found.known.run_id, fetch)
    crowned = crowned_of(found.known.run_id, fetch)
    if comparison is None or not _still_registered(crowned, ledger):
        return None

    def recalled(name: str) -> BackboneResult:
        folds = [done[cell] for cell in sorted(done) if cell[0] == name]
        return BackboneResult(
            name=name,
            run_id=tree[name].run_id,
            summaries=summaries(plan, folds),
            folds=tuple(folds),
            read=lambda: read_out_of_fold(plan, folds, fetch),
            pooled=values_alone(tree[name].below("oof/")),
            holdout=tree[name].below("holdout/"),
        )

    results = {name: recalled(name) for name in names}
    return ExperimentResult(
        experiment=plan.experiment.name,
        experiment_run_id=found.known.run_id,
        status="completed",
        data_digest=plan.manifest.digest,
        metric=plan.experiment.metric,
        backbones=results,
        ranking=ranking(plan, results),
        report=str(fetch(found.known.run_id, "report.html")),
        seconds={},
        tracking_uri=tracking_uri(),
        champion=crowned,
        notes=notes_of(found.known.run_id, fetch),
        comparison=comparison,
    )


def _still_registered(crowned: Mapping[str, Any], ledger: Ledger) -> bool:
    """Tell whether what a run says it registered is there; not where registering went wrong."""
    if crowned.get("version") is None:
        return not crowned.get("failed", False)
    registry = Registry(ledger.client, str(crowned["model"]))
    return any(own.number == crowned["version"] and registry.has_files(own) for own in registry.versions())
