"""Whether a map depends on what the model has learnt: it must change when the weights are randomised."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from tasks.dataset.pixels.shaping import lay_back
from tasks.explanation.intervals import Interval, mean_interval
from tasks.explanation.maps import normalise
from tasks.explanation.stability import rank_correlation

SIDE = 64
"""Rows and columns at which structural similarity is measured; it depends on them, so all methods share them."""

LARGEST_AGREEMENT = 0.5
"""A method is flagged unless the rank correlation of its maps with those of the wholly random model is below this."""


@dataclass(frozen=True)
class RandomisationCurve:
    """How like the model's own the maps stay while its weights are randomised from the top down.

    Attributes
    ----------
    table : DataFrame
        One row a stage, the first with nothing randomised: `stage`, `n_layers` (randomised so far, of those with
        weights), `layer` (the lowest of them, or an empty text), and means over the images with 95 % intervals:
        `ssim`, `ssim_low`, `ssim_high` (structural similarity), `rank`, `rank_low`, `rank_high` (rank correlation).
    n_images : int
        How many images the means are over: those of which the intact model has a map.
    passes : int
        How many maps were made.
    ssim, rank : ndarray of shape (n_given_images,), float64
        Each image's values at the last stage, where all is randomised; NaN where the intact model has no map.
    """

    table: pd.DataFrame
    n_images: int
    passes: int
    ssim: np.ndarray
    rank: np.ndarray

    @property
    def flagged(self) -> bool | None:
        """Whether the last stage's rank correlation, by its interval, may be `LARGEST_AGREEMENT` or more.

        Such maps were not shown to change. None where there are too few images for an interval.
        """
        high = float(self.table["rank_high"].iloc[-1])
        return None if np.isnan(high) else high >= LARGEST_AGREEMENT


@dataclass(frozen=True)
class Checked:
    """What is asked of one method.

    Attributes
    ----------
    explain : callable
        Makes the raw maps, of shape (n, h, w), of the same images for the same targets with the weights that the model
        has then. It must run through all layers: from images, not from features that were computed before.
    intact : ndarray of shape (n, h, w) or None
        The maps of the intact model where they are known; None: `explain` makes them.
    groups : ndarray of shape (n,) or None
        What images belong together, for the intervals.
    every_stage : bool
        Whether maps are made at every stage, or at the last one only, as for a method that costs much.
    """

    explain: Callable[[], np.ndarray]
    intact: np.ndarray | None = None
    groups: np.ndarray | None = None
    every_stage: bool = True


def randomisation_curve(
    model: Any,
    explain: Callable[[], np.ndarray],
    *,
    max_stages: int = 10,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> RandomisationCurve:
    """Give the curve of one method; see `randomisation_curves`."""
    asked = {"": Checked(explain, groups=groups)}
    return randomisation_curves(model, asked, max_stages=max_stages, seed=seed)[""]


def randomisation_curves(
    model: Any, asked: Mapping[str, Checked], *, max_stages: int = 10, seed: int = 0
) -> dict[str, RandomisationCurve]:
    """Randomise a model's layers from the top down, and compare the maps at each stage with those of the intact model.

    This is the cascading randomisation of Adebayo et al. (Sanity checks for saliency maps, NeurIPS 2018, section 3.1).
    A layer is randomised by shuffling the values of each of its weights among themselves, batch normalisation's
    statistics included, so that their scale stays what the training made it. Afterwards all weights are what they were
    to the last bit, also when a method fails.

    Parameters
    ----------
    model : keras.Model
        Its weights are changed in place and restored, so it must not be used meanwhile.
    asked : mapping of str to Checked
        The methods, by name; all see the same randomised models.
    max_stages : int
        Layers with weights are randomised in this many stages of about equal size; one a stage if there are no more.
    seed : int
        The same seed gives the same shuffling.

    Returns
    -------
    dict of str to RandomisationCurve
        By the method's name.

    Raises
    ------
    ValueError
        If the model has no weights, or there is no image.
    """
    layers = [layer for layer in reversed(model.layers) if _weights(layer)]
    if not layers or max_stages < 1:
        raise ValueError("a model without weights cannot be randomised, and it takes one stage or more")
    curves = {name: _Curve(check, seed) for name, check in asked.items()}
    stages = np.array_split(np.arange(len(layers)), min(max_stages, len(layers)))
    random = np.random.default_rng(seed)
    with _shuffling() as shuffle:
        for number, stage in enumerate(stages, 1):
            for place in stage:
                shuffle(layers[place], random)
            for curve in curves.values():
                if curve.check.every_stage or number == len(stages):
                    curve.add(number, int(stage[-1]) + 1, layers[stage[-1]].name)
    return {name: curve.finished() for name, curve in curves.items()}


class _Curve:
    """One method's curve while it is made."""

    def __init__(self, check: Checked, seed: int) -> None:
        self.check, self._seed = check, seed
        self._intact = np.array(check.explain() if check.intact is None else check.intact)
        if not len(self._intact):
            raise ValueError("the curve is over one image or more")
        self._made = 0 if check.intact is not None else len(self._intact)
        self._shown = normalise(self._intact).any(axis=(1, 2))
        self._values: dict[str, np.ndarray] = {}
        self._rows: list[dict[str, object]] = []
        self._compare(0, 0, "", self._intact)

    def add(self, stage: int, n_layers: int, layer: str) -> None:
        """Compare the maps of the model as it is now."""
        found = np.asarray(self.check.explain())
        self._made += len(found)
        self._compare(stage, n_layers, layer, found)

    def finished(self) -> RandomisationCurve:
        last = {name: np.full(len(self._intact), np.nan) for name in self._values}
        for name, values in self._values.items():
            last[name][self._shown] = values
        return RandomisationCurve(pd.DataFrame(self._rows), int(self._shown.sum()), self._made, **last)

    def _compare(self, stage: int, n_layers: int, layer: str, found: np.ndarray) -> None:
        intact, found = normalise(self._intact[self._shown]), normalise(found[self._shown])
        self._values = {"ssim": structural_similarity(intact, found), "rank": rank_correlation(intact, found)}
        row: dict[str, object] = {"stage": stage, "n_layers": n_layers, "layer": layer}
        groups = None if self.check.groups is None else np.asarray(self.check.groups)[self._shown]
        for name, values in self._values.items():
            mean: Interval = mean_interval(values, groups, seed=self._seed)
            row |= {name: mean.mean, f"{name}_low": mean.low, f"{name}_high": mean.high}
        self._rows.append(row)


def structural_similarity(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Give the mean structural similarity of each pair of maps (Wang et al., 2004: Gaussian window of 1.5 pixels).

    Parameters
    ----------
    first, second : ndarray of shape (n, h, w)
        Raw or scaled maps over the same squares in any resolution; `maps.normalise` scales them to 0 to 1, so a factor
        above 0 changes nothing, and both are brought bilinearly to `SIDE` x `SIDE`.

    Returns
    -------
    ndarray of shape (n,), float64, at most 1
    """
    from skimage import metrics

    found = [
        metrics.structural_similarity(
            lay_back(one, SIDE, SIDE),
            lay_back(other, SIDE, SIDE),
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for one, other in zip(normalise(first), normalise(second), strict=True)
    ]
    return np.array(found, dtype=np.float64)


def _weights(layer: Any) -> list[Any]:
    """Give a layer's weights that hold numbers, which the state of a random generator is not."""
    return [variable for variable in layer.weights if "float" in str(variable.dtype)]


@contextmanager
def _shuffling() -> Iterator[Callable[[Any, np.random.Generator], None]]:
    """Give what shuffles a layer's weights; in the end, set all that were shuffled back to what they were."""
    before: list[tuple[Any, np.ndarray]] = []

    def shuffle(layer: Any, random: np.random.Generator) -> None:
        for variable in _weights(layer):
            value = np.array(variable.numpy())
            before.append((variable, value))
            variable.assign(random.permutation(value.reshape(-1)).reshape(value.shape))

    try:
        yield shuffle
    finally:
        for variable, value in reversed(before):
            variable.assign(value)
