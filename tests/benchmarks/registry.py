"""The rows of the suite: what is compared with what, and what must come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from tests.benchmarks.bench import Bench

Kind = Literal["faster", "slower", "throughput", "share", "more", "at most"]
"""faster: theirs / ours, at least. slower: theirs / ours, at most. throughput: ours / theirs, at least.
share: ours / theirs, at most. more: ours - theirs, at most. at most: ours alone."""


class Disagree(RuntimeError):
    """The two sides do not give the same results, so that their speed cannot be compared."""


class NotRun(RuntimeError):
    """An optional row cannot be measured here; the message says why."""


@dataclass(frozen=True)
class Part:
    """One comparison of a row: each side's figures, one a repeat."""

    name: str
    kind: Kind
    goal: float
    unit: str
    ours: Sequence[float]
    theirs: Sequence[float] = ()

    @property
    def value(self) -> float:
        """What is held against the goal, from the medians of both sides."""
        ours = median(self.ours)
        if self.kind == "at most":
            return ours
        theirs = median(self.theirs)
        return {
            "faster": lambda: theirs / ours,
            "slower": lambda: theirs / ours,
            "throughput": lambda: ours / theirs,
            "share": lambda: ours / theirs,
            "more": lambda: ours - theirs,
        }[self.kind]()

    @property
    def holds(self) -> bool:
        return self.value >= self.goal if self.kind in ("faster", "throughput") else self.value <= self.goal

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "unit": self.unit,
            "ours": list(self.ours),
            "theirs": list(self.theirs),
            "ours_median": median(self.ours),
            "theirs_median": median(self.theirs) if self.theirs else None,
            "value": self.value,
            "goal": self.goal,
            "holds": self.holds,
        }


@dataclass(frozen=True)
class Outcome:
    """A measured row: its comparisons, how well the results agree, and figures beside."""

    parts: Sequence[Part]
    agreement: str
    beside: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    name: str
    measure: Callable[[Bench], Outcome]
    ours: str
    theirs: str
    clock: Literal["cpu", "wall", "memory"]
    optional: bool
    alone: bool


ROWS: dict[str, Row] = {}


def row(
    *,
    ours: str,
    theirs: str,
    clock: Literal["cpu", "wall", "memory"],
    optional: bool = False,
    alone: bool = False,
) -> Callable[[Callable[[Bench], Outcome]], Callable[[Bench], Outcome]]:
    """Register a function that measures the row of its own name.

    A row on the `cpu` clock, or of memory, runs on one thread and one core, so that as many of them as there are cores
    run at a time; a row on the `wall` clock, or one that says so, has the machine for itself.
    """

    def keep(measure: Callable[[Bench], Outcome]) -> Callable[[Bench], Outcome]:
        name = measure.__name__
        if name in ROWS:
            raise ValueError(f"two rows are called {name}")
        ROWS[name] = Row(name, measure, ours, theirs, clock, optional, alone or clock == "wall")
        return measure

    return keep
