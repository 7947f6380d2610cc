"""Whether the model needs what a map marks: deletion and insertion, drop and increase in confidence, with controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from tasks.config import InputError
from tasks.explanation.intervals import mean_interval
from tasks.explanation.maps import normalise
from tasks.explanation.perturbed import SOURCES, Baseline, all_pictures, depends_on_map, taken_counts

Predict = Callable[[np.ndarray], np.ndarray]
"""Gives the class probabilities, of shape (n, n_classes), of images of shape (n, h, w, 3), float32, RGB, 0 to 255."""

Known = dict[tuple[int, int], np.ndarray]
"""By the maps' resolution, the probabilities that do not depend on a method's maps, of shape (n_images, n_pictures)."""

OVERALL = "overall"
"""The measure that decides: the insertion areas less the deletion areas, averaged over the baselines."""

LOWER_IS_BETTER = ("deletion", "average_drop")
"""How the names of the measures begin of which less is better; of the others more is."""

_CONFIDENCE = ("average_drop", "increase_in_confidence")


@dataclass(frozen=True)
class Plan:
    """How faithfulness is measured.

    Attributes
    ----------
    steps
        In how many equal steps the pixels are taken away or put in, 1 or more.
    baselines
        What stands where pixels are taken away: `mean`, the picture's mean colour; `blur`, the picture blurred by a
        Gaussian of a standard deviation of 10 pixels at 224 (as Fong and Vedaldi, 2017, blur).
    batch
        How many images the model is given at once.
    max_passes
        The most forward passes; None: no bound.
    seed
        What the random maps follow from.
    """

    steps: int = 10
    baselines: tuple[Baseline, ...] = ("blur", "mean")
    batch: int = 32
    max_passes: int | None = None
    seed: int = 0

    @property
    def passes_an_image(self) -> int:
        """The number of forward passes for one image, the controls included."""
        return len(self.own)

    @property
    def own_passes(self) -> int:
        """The number of forward passes for one image and a method, where another one's are known (`Known`)."""
        return int(self.own.sum())

    @property
    def own(self) -> np.ndarray:
        """Which of one image's pictures depend on the method's map, of shape (passes_an_image,), bool."""
        return depends_on_map(len(self.baselines), self.steps)

    @property
    def most_images(self) -> int | None:
        """How many images `max_passes` is enough for; None: any number."""
        return None if self.max_passes is None else self.max_passes // self.passes_an_image


@dataclass(frozen=True)
class Faithfulness:
    """How faithful a method's maps are, beside two controls on the same images.

    Attributes
    ----------
    table : DataFrame
        One row an image and source: `image` (its place), `source` (one of `SOURCES`), and the measures: the areas of
        each baseline (such as `deletion_blur`), `OVERALL`, `average_drop` and `increase_in_confidence`.
    passes : int
        How many forward passes it took.
    n_blank : int
        How many maps show nothing; they are ordered by chance.
    groups : ndarray of shape (n_images,) or None
        What images belong together.
    seed : int
        Of the intervals.
    """

    table: pd.DataFrame
    passes: int
    n_blank: int
    groups: np.ndarray | None = None
    seed: int = 0

    @cached_property
    def gains(self) -> pd.DataFrame:
        """One row a measure and control: `measure`, `control`, and how much better the map is on the same image.

        `mean`, `low` and `high` (95 %, `intervals.mean_interval`) are above 0 where it is better; `beats` tells whether
        the whole interval is (None: too few images).
        """
        rows = [
            {"measure": measure, "control": control} | self._gain(measure, control)
            for measure in self._measures
            for control in SOURCES[1:]
        ]
        return pd.DataFrame(rows).astype({"beats": object})

    @property
    def beats_controls(self) -> bool | None:
        """Whether the map beats both controls in the measure `OVERALL`; None where there are too few images to tell."""
        verdicts = self.gains.loc[self.gains["measure"] == OVERALL, "beats"].tolist()
        return None if None in verdicts else all(verdicts)

    @property
    def flagged(self) -> bool:
        """Whether the method must be shown with a warning: it was held against its controls and did not beat both."""
        return self.beats_controls is False

    def metrics(self) -> dict[str, float]:
        """Give the mean of each measure by its name, and of each control's by `<measure>_<control>`."""
        return {
            measure if source == SOURCES[0] else f"{measure}_{source}": float(values[measure].to_numpy().mean())
            for source, values in self.table.groupby("source", sort=False)
            for measure in self._measures
        }

    @property
    def _measures(self) -> list[str]:
        return [str(name) for name in self.table.columns if name not in ("image", "source")]

    def _gain(self, measure: str, control: str) -> dict[str, float | bool | None]:
        own, its = (self.table.loc[self.table["source"] == source, measure] for source in (SOURCES[0], control))
        more = own.to_numpy() - its.to_numpy()
        better = -more if measure.startswith(LOWER_IS_BETTER) else more
        gain = mean_interval(better, self.groups, seed=self.seed)
        return {"mean": gain.mean, "low": gain.low, "high": gain.high, "beats": gain.above}


def explained_probabilities(probabilities: np.ndarray, kind: str) -> np.ndarray:
    """Give the probability of what a class's map is for, which is the class, but of a grade that it is reached.

    A map speaks for what `tasks.evaluation.outputs.class_scores` differentiates: of a grade the logit of reaching it,
    and of the lowest one, which every image reaches, what is against the next. What speaks for a grade speaks for those
    above it too, so the probability of that very grade may fall while the map is right.

    Parameters
    ----------
    probabilities : ndarray of shape (n, n_classes), 0 to 1
        From `tasks.evaluation.outputs.class_probabilities`.
    kind : str
        The kind of labels.

    Returns
    -------
    ndarray of shape (n, n_classes), 0 to 1
    """
    if kind != "ordinal":
        return probabilities
    reached = np.cumsum(probabilities[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([probabilities[:, :1], reached[:, 1:]], axis=1)


def measure_faithfulness(
    predict: Predict,
    images: np.ndarray,
    maps: np.ndarray,
    targets: np.ndarray,
    plan: Plan | None = None,
    *,
    groups: np.ndarray | None = None,
    known: Known | None = None,
) -> Faithfulness:
    r"""Measure how much of a class's probability hangs on what the maps mark, and whether controls do as well.

    Deletion takes the pixels away in the order of the map, the hottest first, and insertion puts them into the
    baseline; each is the area under the probability of the target over the share of pixels, by the trapezoid rule
    (Petsiuk, Das and Saenko, RISE, BMVC 2018). Pixels that are equally hot follow a random map, the same for all
    images. The average drop is the mean of :math:`\max(0, Y - O) / Y`, the increase in confidence the share of images
    with :math:`O > Y`, where Y is the probability of the picture and O that of the picture times its map
    (Chattopadhay et al., Grad-CAM++, WACV 2018), both as shares of 1.

    Each is measured for a random map as coarse as the method's, of its own for every image, and a centred Gaussian as
    well. For drop and increase these carry the map's own values in another place, because a map that is high everywhere
    has no drop at all.

    Parameters
    ----------
    predict : callable
        From images to class probabilities.
    images : ndarray of shape (n, h, w, 3), 0 to 255
        What the model sees: the network's square, RGB.
    maps : ndarray of shape (n, h', w')
        Over the whole square in any resolution, best the method's own; raw or scaled. Only what `maps.normalise` keeps
        counts, so that a positive factor changes nothing.
    targets : ndarray of shape (n,), int
        The class that each map is for, a column of the probabilities.
    plan : Plan, optional
        How to measure.
    groups : ndarray of shape (n,) or None
        What images belong together, for the intervals.
    known : dict or None
        Empty at first, and given again for other methods' maps of the very same images, targets, model and plan: what
        does not depend on the maps is kept in it, and not asked for again where the maps have the same resolution.

    Raises
    ------
    InputError
        If it takes more passes than the plan allows.
    ValueError
        If there is no image, or images, maps and targets do not go together.
    """
    plan = plan or Plan()
    _check(images, maps, targets, plan)
    scores, passes = _scores(predict, images, maps, targets, plan, {} if known is None else known)
    measured = _measured(scores, images.shape[1] * images.shape[2], plan)
    table = pd.concat(
        pd.DataFrame({"image": np.arange(len(images)), "source": source} | values)
        for source, values in measured.items()
    ).reset_index(drop=True)
    blank = int((normalise(maps).max(axis=(1, 2)) == 0).sum())
    return Faithfulness(table, passes, blank, groups, plan.seed)


def _check(images: np.ndarray, maps: np.ndarray, targets: np.ndarray, plan: Plan) -> None:
    n = len(images)
    fits = images.ndim == 4 and images.shape[3] == 3 and maps.ndim == 3 and len(maps) == n
    if not n or not fits or np.shape(targets) != (n,):
        raise ValueError(
            f"expected images (n, h, w, 3), maps (n, h', w') and targets (n,) of the same n, got {images.shape}, "
            f"{maps.shape} and {np.shape(targets)}"
        )
    if not 1 <= plan.steps <= images.shape[1] * images.shape[2] or not plan.baselines:
        raise ValueError(f"expected a baseline, and from one step to one a pixel, got {plan}")
    if plan.most_images is not None and n > plan.most_images:
        raise InputError(
            f"Measuring the faithfulness of {n} maps takes {n * plan.passes_an_image:,} forward passes, "
            f"{plan.passes_an_image} an image, and {plan.max_passes:,} are allowed. Measure at most "
            f"{plan.most_images} images, or take fewer steps or baselines."
        )


def _scores(
    predict: Predict, images: np.ndarray, maps: np.ndarray, targets: np.ndarray, plan: Plan, known: Known
) -> tuple[np.ndarray, int]:
    """Give the probabilities of all pictures, of shape (n, passes_an_image), and how many passes that took."""
    grid, own = (maps.shape[1], maps.shape[2]), plan.own
    alone = grid in known
    asked = own if alone else np.ones_like(own)
    pictures = all_pictures(images, maps, plan.baselines, plan.steps, plan.seed, alone=alone)
    found = _scored(predict, pictures, np.repeat(targets, asked.sum()), plan.batch)
    scores = np.empty((len(images), len(own)))
    scores[:, asked] = found.reshape(len(images), -1)
    if alone:
        scores[:, ~own] = known[grid]
    else:
        known[grid] = scores[:, ~own]
    return scores, len(found)


def _scored(predict: Predict, pictures: Iterator[np.ndarray], targets: np.ndarray, batch: int) -> np.ndarray:
    """Give the probability of each picture's target, of shape (n_pictures,), float64."""
    scores = np.empty(len(targets))
    for start in range(0, len(targets), batch):
        part = targets[start : start + batch]
        stack = np.stack([next(pictures) for _ in part])
        scores[start : start + batch] = np.asarray(predict(stack))[np.arange(len(part)), part]
    return scores


def _measured(scores: np.ndarray, n_pixels: int, plan: Plan) -> dict[str, dict[str, np.ndarray]]:
    """Give each measure's values, of shape (n_images,), by source."""
    n, n_baselines, n_sources = len(scores), len(plan.baselines), len(SOURCES)
    whole, products = scores[:, 0], scores[:, -n_sources:]
    curves = scores[:, 1:-n_sources].reshape(n, n_baselines, -1)
    bare, inner = curves[:, :, 0], curves[:, :, 1:].reshape(n, n_baselines, n_sources, plan.steps - 1, 2)
    shares = taken_counts(n_pixels, plan.steps) / n_pixels
    measured: dict[str, dict[str, np.ndarray]] = {}
    for place, source in enumerate(SOURCES):
        values: dict[str, np.ndarray] = {}
        for way, name in enumerate(("deletion", "insertion")):
            for number, baseline in enumerate(plan.baselines):
                ends = (whole, bare[:, number]) if name == "deletion" else (bare[:, number], whole)
                curve = np.column_stack([ends[0], inner[:, number, place, :, way], ends[1]])
                values[f"{name}_{baseline}"] = np.trapezoid(curve, shares, axis=1)
        signed = [area if name.startswith("insertion") else -area for name, area in values.items()]
        values[OVERALL] = np.sum(signed, axis=0) / n_baselines
        lost = np.maximum(whole - products[:, place], 0)
        values[_CONFIDENCE[0]] = np.divide(lost, whole, out=np.zeros_like(lost), where=whole > 0)
        values[_CONFIDENCE[1]] = (products[:, place] > whole).astype(np.float64)
        measured[source] = values
    return measured
