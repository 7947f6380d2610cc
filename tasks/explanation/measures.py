"""What the measured truth of maps comes to: metrics and verdicts, of one fold run or of all folds together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tasks.explanation.controls import CONTROLS
from tasks.explanation.faithfulness import OVERALL
from tasks.explanation.intervals import Interval, known_groups, mean_interval
from tasks.explanation.limits import UNKNOWN, Limits, limits_of
from tasks.explanation.methods import METHODS
from tasks.explanation.sanity import LARGEST_AGREEMENT

FAITHFULNESS = (
    "deletion_blur",
    "deletion_mean",
    "insertion_blur",
    "insertion_mean",
    OVERALL,
    "average_drop",
    "increase_in_confidence",
)
"""The measures of faithfulness; each has a column of its own for each control, with `_<control>` behind its name."""

SANITY = "sanity_rank"
"""The rank correlation with the maps of the wholly randomised model."""

STEADINESS = (SANITY, "sanity_ssim", "noise", "shift")
"""The measures that compare maps with maps."""

KEYS = ("path", "group", "method", "label")

TRUTH_COLUMNS = (
    *KEYS,
    *FAITHFULNESS,
    *(f"{measure}_{control}" for control in CONTROLS for measure in FAITHFULNESS),
    *STEADINESS,
)
"""The columns of `truth.parquet`: one row a measured image and method."""

PLACES = ("border", "corner")
INSIDE = ("hit", "heat_inside", "area_inside")
BLANK = "blank"
"""The share of maps that show nothing."""

_OF_TRUTH = (*FAITHFULNESS, *(f"{OVERALL}_{control}" for control in CONTROLS), *STEADINESS)
_WITH_INTERVAL = (OVERALL, SANITY, "noise", "shift", "border")


@dataclass(frozen=True)
class Verdict:
    """How far a method's maps may be believed, by the images on which they were measured.

    Attributes
    ----------
    method : str
        Its name in the registry.
    n_images : int
        How many images were measured.
    overall : Interval
        Insertion areas less deletion areas, the mean over the images.
    gains : dict of str to Interval
        By control, how much more `overall` is for the map than for the control on the same image.
    randomised : Interval
        Rank correlation with the maps of the wholly randomised model.
    noise, shift : Interval
        Rank correlation with the maps of the picture with noise on it, and of the shifted picture.
    limits : Limits
        How coarse its maps are, and how many show nothing.
    """

    method: str
    n_images: int
    overall: Interval
    gains: dict[str, Interval]
    randomised: Interval
    noise: Interval
    shift: Interval
    limits: Limits = UNKNOWN

    @property
    def beats_controls(self) -> bool | None:
        """Whether the map beats each control with the whole interval; None: too few images to tell."""
        above = [gain.above for gain in self.gains.values()]
        return None if None in above else all(above)

    @property
    def changes_when_randomised(self) -> bool | None:
        """Whether the whole interval of `randomised` lies below `LARGEST_AGREEMENT`; None: too few images to tell."""
        return None if math.isnan(self.randomised.high) else self.randomised.high < LARGEST_AGREEMENT

    @property
    def doubted(self) -> bool:
        """Whether its pictures must be shown with a warning: there were images enough, and a check was not passed."""
        return self.beats_controls is False or self.changes_when_randomised is False

    @property
    def finding(self) -> str:
        """What the checks say of its maps, without its name, and what else must be known of them, in sentences."""
        return " ".join([self._checked, *self.limits.told(self.method, doubted=self.doubted)])

    @property
    def _checked(self) -> str:
        checks = (self.beats_controls, self.changes_when_randomised)
        told = [text[check] for text, check in zip((_FAITHFUL, _SANE), checks, strict=True) if check is not None]
        if not told:
            return "too few images to tell." if self.n_images else "not measured."
        if len(told) == 1:
            return f"{told[0]}; for the rest there are too few images to tell."
        return f"{(', and ' if checks[0] == checks[1] else ', but ').join(told)}."

    @property
    def text(self) -> str:
        """The method and its finding, in one line."""
        return f"{METHODS[self.method].title}: {self.finding}"


_FAITHFUL = {
    True: "the model needs what the maps mark, more than what a random or a centred map marks",
    False: "the maps were not shown to mark what the model needs better than a random or a centred map does",
}
_SANE = {
    True: "the maps change when the weights are randomised",
    False: "the maps were not shown to change when the weights are randomised",
}


def verdicts(truth: pd.DataFrame, location: pd.DataFrame | None = None, *, seed: int = 0) -> dict[str, Verdict]:
    """Give the verdict on each method.

    Parameters
    ----------
    truth : DataFrame
        With `TRUTH_COLUMNS`, of one fold run, or of all fold runs of a backbone one below the other. Images of one
        `group` count as one for the intervals, where all have a group.
    location : DataFrame or None
        What the same fold runs write as `location.parquet`; None: how coarse the maps are, and how many show nothing,
        is not told.
    seed : int
        For the intervals.
    """
    limits = limits_of(location)
    return {method: _verdict(method, part, limits.get(method, UNKNOWN), seed) for method, part in _by_method(truth)}


def explanation_metrics(
    truth: pd.DataFrame | None, location: pd.DataFrame | None, *, intervals: bool = False, seed: int = 0
) -> dict[str, float]:
    """Give the means over the images, by `explain/<method>/<measure>`; what was not measured is left out.

    Parameters
    ----------
    truth, location : DataFrame or None
        What fold runs write as `truth.parquet` and `location.parquet`, of one or of several; None: there is none.
    intervals : bool
        Whether the ends of the 95 % intervals of the leading measures are given too, with `_low` and `_high` behind
        the name, where there are images enough.
    seed : int
        For the intervals.
    """
    found: dict[str, float] = {}
    for table, measures in ((truth, _OF_TRUTH), (location, (*PLACES, *INSIDE, BLANK))):
        for method, part in _by_method(table):
            for measure in (name for name in measures if name in part):
                values = part[measure].to_numpy(dtype=np.float64)
                known = {measure: _mean(values)}
                if intervals and measure in _WITH_INTERVAL:
                    interval = mean_interval(values, groups_of(part), seed=seed)
                    known |= {f"{measure}_low": interval.low, f"{measure}_high": interval.high}
                found |= {f"explain/{method}/{name}": value for name, value in known.items() if not math.isnan(value)}
    return found


def groups_of(table: pd.DataFrame) -> np.ndarray | None:
    """Give the column `group` where every row has one, else None: each image is a group of its own then."""
    return known_groups(table["group"])


def _by_method(table: pd.DataFrame | None) -> Iterator[tuple[str, pd.DataFrame]]:
    if table is not None and len(table):
        yield from ((str(name), part) for name, part in table.groupby("method", sort=False))


def _verdict(method: str, part: pd.DataFrame, limits: Limits, seed: int) -> Verdict:
    groups = groups_of(part)

    def interval(values: pd.Series) -> Interval:
        return mean_interval(values.to_numpy(dtype=np.float64), groups, seed=seed)

    return Verdict(
        method=method,
        n_images=int(part[OVERALL].notna().sum()),
        overall=interval(part[OVERALL]),
        gains={control: interval(part[OVERALL] - part[f"{OVERALL}_{control}"]) for control in CONTROLS},
        randomised=interval(part[SANITY]),
        noise=interval(part["noise"]),
        shift=interval(part["shift"]),
        limits=limits,
    )


def _mean(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else math.nan
