"""By which rules runs are chosen to go, and what keeps them nevertheless."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tasks.dataset.wording import counted
from tasks.tracking.cleaning.trees import Recorded, Tree

DAY_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Rules:
    """What is to go. All that is given must hold; where nothing is, no run goes.

    Attributes
    ----------
    older_than_ms : int or None
        What ended so long ago or longer, in milliseconds.
    keep_last : int or None
        All but so many newest experiment runs of each name.
    failed : bool
        Only what failed: experiment runs in which nothing was finished, and single fold runs.
    models : bool
        Only the networks of the chosen runs, while their figures and pictures stay.
    """

    older_than_ms: int | None = None
    keep_last: int | None = None
    failed: bool = False
    models: bool = False

    @property
    def chooses_runs(self) -> bool:
        """Whether any run can go."""
        return self.older_than_ms is not None or self.keep_last is not None or self.failed


@dataclass(frozen=True)
class Unit:
    """Runs that go or stay together.

    Attributes
    ----------
    tree : Tree
        The tree that they are of.
    runs : tuple of Recorded
        The runs, the uppermost last.
    why_kept : str
        Why they stay; empty where they go.
    """

    tree: Tree
    runs: tuple[Recorded, ...]
    why_kept: str = ""

    @property
    def top(self) -> Recorded:
        """The uppermost run."""
        return self.runs[-1]

    @property
    def is_part(self) -> bool:
        """Whether the tree has more runs, which are not judged with these."""
        return len(self.runs) < len(self.tree.all)

    @property
    def ended(self) -> int:
        """When the last of them ended, in milliseconds since 1970."""
        return max(run.ended for run in self.runs)


def judge(trees: Sequence[Tree], rules: Rules, now: int, needed: Mapping[str, str]) -> list[Unit]:
    """Give what goes and what stays, the newest first.

    Parameters
    ----------
    trees : sequence of Tree
        The record, the newest first.
    rules : Rules
        What is to go.
    now : int
        The time, in milliseconds since 1970.
    needed : mapping of str to str
        Why a run must stay whatever the rules say, by its id; all of its tree stays then.
    """
    places = _places(trees)
    return [
        Unit(tree, runs, why_kept=_needed(tree, needed) or _spared(tree, runs, rules, now, places[tree.top.run_id]))
        for tree in trees
        for runs in _parts(tree, rules)
    ]


def _parts(tree: Tree, rules: Rules) -> list[tuple[Recorded, ...]]:
    """Give what of a tree is judged by itself: all of it together, or with `failed` each failed fold run."""
    failed: list[tuple[Recorded, ...]] = [
        (run,) for run in tree.of_level("fold") if run.status == "failed" and run is not tree.top
    ]
    return failed if rules.failed and tree.top.status != "failed" and failed else [tree.all]


def _places(trees: Sequence[Tree]) -> dict[str, int]:
    """Give how many newer trees of its name and level each tree has."""
    seen: dict[tuple[str, str], int] = defaultdict(int)
    places = {}
    for tree in trees:
        key = (tree.experiment, tree.top.level)
        places[tree.top.run_id] = seen[key]
        seen[key] += 1
    return places


def _needed(tree: Tree, needed: Mapping[str, str]) -> str:
    return next((needed[run.run_id] for run in reversed(tree.all) if run.run_id in needed), "")


def _spared(tree: Tree, runs: tuple[Recorded, ...], rules: Rules, now: int, place: int) -> str:
    """Give the rule that spares some runs; an empty text where none does."""
    if not rules.chooses_runs:
        return "no rule chooses runs"
    if rules.failed and runs[-1].status != "failed":
        return "it did not fail"
    if rules.keep_last is not None and place < rules.keep_last:
        return f"among the newest {rules.keep_last} of {tree.experiment}"
    ended = max(run.ended for run in runs)
    if rules.older_than_ms is not None and now - ended < rules.older_than_ms:
        return f"ended {counted(max(0, now - ended) // DAY_MS, 'day')} ago"
    if rules.models and not any(run.models for run in runs):
        return "it has no networks"
    return ""
