"""The record as trees: an experiment's run with the runs of its backbones and folds below it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType

from tasks.config import InputError
from tasks.dataset.wording import listed, nearest
from tasks.tracking.owners import is_orphan
from tasks.tracking.runs import EXPERIMENT_RUN, OWNER, PARENT

LEVEL = "foldcam.level"


@dataclass(frozen=True)
class Recorded:
    """One run as far as cleaning goes by it.

    Attributes
    ----------
    run_id, name, level, status
        MLflow's id and name; `foldcam.level` and `foldcam.status`.
    above : str
        The run that it lies below; empty where it has none.
    experiment_run : str
        The experiment's run that it was made for; its own id where it is that.
    ended : int
        When it ended, in milliseconds since 1970; where it has not, when it began.
    runs : bool
        Whether it runs, as far as that can be known: not where its process was killed on this machine.
    place : str
        Where its artifacts lie.
    models : tuple of str
        The ids of its LoggedModels.
    """

    run_id: str
    name: str
    level: str
    status: str
    above: str
    experiment_run: str
    ended: int
    runs: bool
    place: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Tree:
    """A run with all below it: an experiment's as a rule.

    Attributes
    ----------
    experiment : str
        The MLflow experiment's name.
    top : Recorded
        The uppermost run.
    below : tuple of Recorded
        The others.
    """

    experiment: str
    top: Recorded
    below: tuple[Recorded, ...]

    @property
    def all(self) -> tuple[Recorded, ...]:
        """All runs, the uppermost last, so that what is left of an interrupted removal is still a tree."""
        return (*sorted(self.below, key=lambda run: run.level != "fold"), self.top)

    @property
    def ended(self) -> int:
        """When the last of its runs ended, in milliseconds since 1970."""
        return max(run.ended for run in self.all)

    @property
    def runs(self) -> bool:
        """Whether any of its runs is still under way."""
        return any(run.runs for run in self.all)

    def of_level(self, level: str) -> list[Recorded]:
        """Give its runs of a level."""
        return [run for run in self.all if run.level == level]


def read_trees(client: MlflowClient, names: Sequence[str] = ()) -> list[Tree]:
    """Read what foldcam has recorded in the experiments of these names, or in all; the newest trees come first.

    Raises
    ------
    InputError
        There is no experiment of a name.
    """
    experiments = {str(own.name): str(own.experiment_id) for own in _experiments(client)}
    for name in names:
        if name not in experiments:
            near = nearest(name, list(experiments))
            hint = f" Is {near} meant?" if near else ""
            raise InputError(
                f"MLflow's store has no experiment {name!r}.{hint} It has: {listed(sorted(experiments), 10)}."
            )
    chosen = {name: experiments[name] for name in dict.fromkeys(names)} if names else experiments
    trees = [tree for name, key in chosen.items() for tree in _trees(name, all_runs(client, key))]
    return sorted(trees, key=lambda tree: -tree.ended)


def all_runs(client: MlflowClient, experiment_id: str, *, deleted: bool = False, wanted: str = "") -> Iterator[Run]:
    """Give all runs of an MLflow experiment, or all that lie in its bin, page by page."""
    token: str | None = None
    while True:
        page = client.search_runs(
            [experiment_id],
            wanted,
            run_view_type=ViewType.DELETED_ONLY if deleted else ViewType.ACTIVE_ONLY,
            max_results=1000,
            page_token=token,
        )
        yield from page
        token = page.token
        if not token:
            return


def _experiments(client: MlflowClient) -> Iterator[Experiment]:
    token: str | None = None
    while True:
        page = client.search_experiments(max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _trees(experiment: str, runs: Iterator[Run]) -> list[Tree]:
    known = {run.run_id: run for run in map(recorded, (run for run in runs if LEVEL in run.data.tags))}
    below: dict[str, list[Recorded]] = {key: [] for key in known}
    tops = []
    for run in known.values():
        top = next((key for key in (run.experiment_run, run.above) if key in known and key != run.run_id), None)
        if top is None:
            tops.append(run)
        else:
            below[top].append(run)
    return [Tree(experiment, top, tuple(_all_below(top, below))) for top in tops]


def _all_below(run: Recorded, below: dict[str, list[Recorded]]) -> Iterator[Recorded]:
    for own in below[run.run_id]:
        yield own
        yield from _all_below(own, below)


def recorded(run: Run) -> Recorded:
    """Give what cleaning goes by of a run of MLflow's."""
    tags, info = run.data.tags, run.info
    models = run.outputs.model_outputs if run.outputs else []
    return Recorded(
        run_id=str(info.run_id),
        name=str(info.run_name or ""),
        level=tags.get(LEVEL, ""),
        status=tags.get("foldcam.status", ""),
        above=tags.get(PARENT, ""),
        experiment_run=tags.get(EXPERIMENT_RUN, ""),
        ended=int(info.end_time or info.start_time or 0),
        runs=info.status == "RUNNING" and not is_orphan(tags.get(OWNER, "")),
        place=str(info.artifact_uri or ""),
        models=tuple(str(model.model_id) for model in models),
    )
