"""Whether a map depends on what the model has learnt: it must change when the weights are randomised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """

    table: pd.DataFrame
    n_images: int
    passes: int

    @property
    def flagged(self) -> bool | None:
        """Whether the last stage's rank correlation, by its interval, may be `LARGEST_AGREEMENT` or more.

        Such maps were not shown to change. None where there are too few images for an interval.
        """
        high = float(self.table["rank_high"].iloc[-1])
        return None if np.isnan(high) else high >= LARGEST_AGREEMENT


def randomisation_curve(
    model: Any,
    explain: Callable[[], np.ndarray],
    *,
    max_stages: int = 10,
    groups: np.ndarray | None = None,
    seed: int = 0,
) -> RandomisationCurve:
    """Randomise a model's layers from the top down, and compare the maps at each stage with those of the intact model.

    This is the cascading randomisation of Adebayo et al. (Sanity checks for saliency maps, NeurIPS 2018, section 3.1).
    A layer is randomised by shuffling the values of each of its weights among themselves, batch normalisation's
    statistics included, so that their scale stays what the training made it. Afterwards all weights are what they were
    to the last bit, also when `explain` fails.

    Parameters
    ----------
    model : keras.Model
        Its weights are changed in place and restored, so it must not be used meanwhile.
    explain : callable
        Makes the raw maps, of shape (n, h, w), of the same images for the same targets with the weights that the model
        has then. It must run through all layers: from images, not from features that were computed before.
    max_stages : int
        Layers with weights are randomised in this many stages of about equal size; one a stage if there are no more.
    groups : ndarray of shape (n,) or None
        What images belong together, for the intervals.
    seed : int
        The same seed gives the same shuffling.

    Raises
    ------
    ValueError
        If the model has no weights, or there is no image.
    """
    layers = [layer for layer in reversed(model.layers) if _weights(layer)]
    if not layers or max_stages < 1:
        raise ValueError("a model without weights cannot be randomised, and it takes one stage or more")
    intact = np.array(explain())
    if not len(intact):
        raise ValueError("the curve is over one image or more")
    shown = normalise(intact).any(axis=(1, 2))
    chosen = None if groups is None else np.asarray(groups)[shown]
    stages = np.array_split(np.arange(len(layers)), min(max_stages, len(layers)))
    rows = [_row(0, 0, "", intact[shown], intact[shown], chosen, seed)]
    random = np.random.default_rng(seed)
    with _shuffling() as shuffle:
        for number, stage in enumerate(stages, 1):
            for place in stage:
                shuffle(layers[place], random)
            found = np.asarray(explain())[shown]
            rows.append(_row(number, int(stage[-1]) + 1, layers[stage[-1]].name, intact[shown], found, chosen, seed))
    return RandomisationCurve(pd.DataFrame(rows), int(shown.sum()), len(intact) * len(rows))


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


def _row(
    stage: int,
    n_layers: int,
    layer: str,
    intact: np.ndarray,
    found: np.ndarray,
    groups: np.ndarray | None,
    seed: int,
) -> dict[str, object]:
    row: dict[str, object] = {"stage": stage, "n_layers": n_layers, "layer": layer}
    for name, values in (
        ("ssim", structural_similarity(intact, found)),
        ("rank", rank_correlation(normalise(intact), normalise(found))),
    ):
        mean: Interval = mean_interval(values, groups, seed=seed)
        row |= {name: mean.mean, f"{name}_low": mean.low, f"{name}_high": mean.high}
    return row
