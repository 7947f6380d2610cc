"""Classes at the border or the corners of whose images a model looks: there shortcuts show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.explanation.intervals import LEVEL, chance_of_more, difference_interval, mean_interval
from tasks.explanation.location import BORDER, CORNER, CORNERS, PLACES, area_shares, taken

CODES = {
    "explain.border": "a model looks at the border of the images of one class",
    "explain.corner": "a model looks at the corners of the images of one class",
}
"""The findings' stable codes, and what each finds."""

LEAST_EXCESS = 0.1
"""How much more heat a finding needs than the area's share, and than the other classes have, as a share of all heat."""

ADVICE = (
    "Look at the mean map and the overlays of the class: a mark, a frame, a date or a scale there may tell the label. "
    "Crop or mask it (data.preprocessing), or take each class from all sources."
)
"""What to do about a finding."""


@dataclass(frozen=True)
class EdgeLook:
    """A class at the border or the corners of whose images a model looks.

    Attributes
    ----------
    place : str
        One of `PLACES`.
    label : str
        The class.
    n_images : int
        How many images it has.
    share, elsewhere, area : float
        The mean share of heat there, that of the other classes, and that of the area, 0 to 1.
    corner : str
        Which corner has the most of it; empty for the border.
    images : tuple of str
        Their paths, those with the most heat there first.
    """

    place: str
    label: str
    n_images: int
    share: float
    elsewhere: float
    area: float
    corner: str
    images: tuple[str, ...]

    @property
    def code(self) -> str:
        """The finding's stable code, one of `CODES`."""
        return f"explain.{self.place}"


def edge_looks(
    shares: pd.DataFrame,
    labels: Sequence[str] | np.ndarray,
    images: Sequence[str],
    *,
    border: float = BORDER,
    corner: float = CORNER,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> Iterator[EdgeLook]:
    """Yield each class at whose border or corners the model looks.

    The rule: the mean share of heat there lies above the area's share and above that of the other classes, both by
    `LEAST_EXCESS` and with the whole interval, and so much more than in the other classes is no chance by a permutation
    test. The level is 95 % shared among the classes (Bonferroni), so that data without such a class gives a finding in
    at most 5 of 100 runs, however many classes it has; by intervals alone it would be up to 40 with six images a class,
    if each map is a single spot. A class with too few images for an interval has none.

    Parameters
    ----------
    shares : DataFrame
        Of `edge_shares`, with the same `border` and `corner`, one row an image: maps for the predicted classes.
    labels : sequence of str of length n
        The true class of each image; where an image can have several labels, the one that its map is for.
    images : sequence of str of length n
        The images' paths.
    border, corner : float
        As in `edge_shares`.
    groups, seed
        As in `location_table`.
    """
    labels = np.asarray(labels, dtype=object)
    classes = list(dict.fromkeys(sorted(labels)))
    if len(classes) < 2:
        return
    level, areas = 1 - (1 - LEVEL) / len(classes), area_shares(border, corner)
    for place in PLACES:
        values = shares[place].to_numpy()
        for label in classes:
            own = labels == label
            here, there = _mean(values[own]), _mean(values[~own])
            if not min(here - areas[place], here - there) >= LEAST_EXCESS:
                continue
            mean = mean_interval(values[own], taken(groups, own), level=level, seed=seed)
            more = difference_interval(
                values[own], values[~own], taken(groups, own), taken(groups, ~own), level=level, seed=seed
            )
            if mean.low > areas[place] and more.above and _no_chance(values, own, groups, level, seed):
                most = str(shares[own][list(CORNERS)].mean().idxmax()) if place == "corner" else ""
                found = _most(values, own, images)
                yield EdgeLook(place, label, int(own.sum()), here, there, areas[place], most, found)


def _no_chance(values: np.ndarray, own: np.ndarray, groups: np.ndarray | None, level: float, seed: int) -> bool:
    """Tell whether a class's values exceed the others' by more than chance would in either place."""
    parts = (values[own], values[~own], taken(groups, own), taken(groups, ~own))
    return chance_of_more(*parts, level=level, seed=seed) <= (1 - level) / len(PLACES)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def _most(values: np.ndarray, own: np.ndarray, images: Sequence[str]) -> tuple[str, ...]:
    """Give the images of a class whose map shows something, those with the most heat at the place first."""
    shown = np.flatnonzero(own & ~np.isnan(values))
    return tuple(images[row] for row in shown[np.argsort(-values[shown], kind="stable")])
