"""Whether new images look like those that a model was trained on, and whether the model answers alike to both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.statistics.multiple import holm
from tasks.dataset.drift_reference import OUTPUT, STATISTICS

LEVEL = 0.05
"""How often, at most, images of the same kind are called drifted by chance, over all statistics together."""

LEAST_DISTANCE = 0.1
"""A smaller distance is no drift, however sure it is: with thousands of images any difference is."""

LEAST_IMAGES = 20
"""Fewer new images are too few to tell."""

TABLE = ("statistic", "kind", "distance", "p", "p_holm", "training_median", "new_median", "drifted")
LABELS = ("label", "training_share", "new_share", "ci_low", "ci_high", "p_holm")


@dataclass(frozen=True, eq=False)
class Drift:
    """New images held against training images.

    Attributes
    ----------
    table : DataFrame
        A row a statistic, the farthest first: `statistic`; `kind` (`image`, or `output` for the probability of a
        class); `distance` (Kolmogorov-Smirnov, 0 to 1); `p`; `p_holm` (adjusted for the number of statistics);
        `training_median`, `new_median`; `drifted`.
    labels : DataFrame
        A row a label: `label`; `training_share` of the training images that bear it; `new_share` of the new images
        that the model gives it, with the 95 % interval `ci_low` to `ci_high` (Wilson, 1927); `p_holm` of no difference
        between the two (adjusted for the number of labels). All 0 to 1.
    n_training, n_new : int
        Numbers of images.
    """

    table: pd.DataFrame
    labels: pd.DataFrame
    n_training: int
    n_new: int

    @property
    def enough(self) -> bool:
        """Whether there are enough new images to tell."""
        return self.n_new >= LEAST_IMAGES

    @property
    def drifted(self) -> bool | None:
        """Whether any statistic has drifted; None where there are too few images to tell."""
        return bool(self.table["drifted"].any()) if self.enough else None


def measure_drift(
    reference: pd.DataFrame, new: pd.DataFrame, labels: Sequence[str] = (), separator: str | None = None
) -> Drift:
    """Hold new images against the training images.

    Each statistic of the images, and each class's probability by a network that has not seen them, is compared by the
    Kolmogorov-Smirnov distance, p-values adjusted by Holm's procedure: of the ways to find a shift that Rabanser,
    Günnemann and Lipton (2019, "Failing Loudly", section 3) tried, such tests on a classifier's outputs did best.
    Images of one group are not independent: numbers of images are divided by the design effect of the training
    images' groups (Kish, 1965), and new images are taken to come in groups alike.

    Parameters
    ----------
    reference : DataFrame
        From `reference_statistics`.
    new : DataFrame
        One row an image with the same columns, `group` and `label` apart; columns that are missing here are left out,
        rows that hold a NaN are left out of its column.
    labels : sequence of str
        What the model has given each new image, as the data writes labels.
    separator : str or None
        What stands between several labels of one image; None: an image has one label.
    """
    rows = [_row(name, reference, new) for name in reference if _is_compared(str(name), new)]
    table = pd.DataFrame(rows, columns=[name for name in TABLE if name not in ("p_holm", "drifted")])
    table["p_holm"] = holm(table["p"].to_numpy(dtype=np.float64))
    enough = len(new) >= LEAST_IMAGES
    table["drifted"] = enough & (table["p_holm"] < LEVEL) & (table["distance"] >= LEAST_DISTANCE)
    table = table.sort_values(["distance", "statistic"], ascending=[False, True], ignore_index=True)[list(TABLE)]
    shares = label_shares(reference["label"], labels, separator, reference["group"].to_numpy())
    return Drift(table, shares, len(reference), len(new))


def label_shares(
    training: Sequence[str] | pd.Series[Any],
    given: Sequence[str],
    separator: str | None = None,
    groups: NDArray[Any] | None = None,
) -> pd.DataFrame:
    """Return how many of the training images bear each label, and how many new images are given it.

    As in `measure_drift`, numbers of images are divided by the design effect of the training images' groups.

    Parameters
    ----------
    training, given : sequence of str
        Labels as the data writes them.
    separator : str or None
        As in `measure_drift`.
    groups : ndarray of shape (n_training,) or None
        The group of each training image; None: each is one of its own.

    Returns
    -------
    DataFrame
        As `Drift.labels`; shares and intervals of no images are NaN.
    """
    before, now = ([_labels(text, separator) for text in texts] for texts in (training, given))
    own = np.arange(len(before)) if groups is None else groups
    rows = []
    for label in sorted(set().union(*before, *now)):
        bears, has = (np.array([label in labels for labels in texts], dtype=np.float64) for texts in (before, now))
        alike, size = within_groups(bears, own) if len(bears) else (0.0, 1.0)
        worth = [len(some) / (1 + (min(size, len(some)) - 1) * alike) if len(some) else 0.0 for some in (bears, has)]
        shares = [float(some.mean()) if len(some) else np.nan for some in (bears, has)]
        rows.append((label, *shares, *_wilson(shares[1], worth[1]), _unlike(shares, worth)))
    table = pd.DataFrame(rows, columns=list(LABELS))
    return table.assign(p_holm=holm(table["p_holm"].to_numpy(dtype=np.float64)))


def _wilson(share: float, n: float) -> tuple[float, float]:
    """Give the ends of Wilson's 95 % interval (1927) of a share of so many independent images; NaN of none."""
    from scipy.special import ndtri

    if not n > 0:
        return np.nan, np.nan
    z = float(ndtri(0.975))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def _unlike(shares: Sequence[float], worth: Sequence[float]) -> float:
    """Give the p-value of two shares that do not differ, by the score test of so many independent images each."""
    from scipy.special import ndtr

    if not min(worth) > 0:
        return np.nan
    together = (shares[0] * worth[0] + shares[1] * worth[1]) / (worth[0] + worth[1])
    error = np.sqrt(together * (1 - together) * (1 / worth[0] + 1 / worth[1]))
    return float(2 * ndtr(-abs(shares[1] - shares[0]) / error)) if error > 0 else 1.0


def _is_compared(name: str, new: pd.DataFrame) -> bool:
    return name in new and (name in STATISTICS or name.startswith(OUTPUT))


def _row(name: Any, reference: pd.DataFrame, new: pd.DataFrame) -> dict[str, object]:
    known = reference[name].notna().to_numpy()
    training = reference[name].to_numpy(dtype=np.float64)[known]
    present = new[name].to_numpy(dtype=np.float64)
    present = present[~np.isnan(present)]
    distance, p = _distance(training, present, reference["group"].to_numpy()[known])
    output = str(name).startswith(OUTPUT)
    return {
        "statistic": str(name).removeprefix(OUTPUT),
        "kind": "output" if output else "image",
        "distance": distance,
        "p": p,
        "training_median": float(np.median(training)) if len(training) else np.nan,
        "new_median": float(np.median(present)) if len(present) else np.nan,
    }


def _distance(training: NDArray[Any], new: NDArray[Any], groups: NDArray[Any]) -> tuple[float, float]:
    """Give the Kolmogorov-Smirnov distance and its p-value by the numbers of images that are worth independent ones."""
    from scipy.stats import ks_2samp, kstwo

    if not len(training) or not len(new):
        return np.nan, np.nan
    found = ks_2samp(training, new, method="asymp")
    alike, size = within_groups(training, groups)
    worth = [len(some) / (1 + (min(size, len(some)) - 1) * alike) for some in (training, new)]
    together = worth[0] * worth[1] / (worth[0] + worth[1])
    return float(found.statistic), float(kstwo.sf(found.statistic, max(1, round(together))))


def within_groups(values: NDArray[Any], groups: NDArray[Any]) -> tuple[float, float]:
    """Return how alike values of one group are, and how large the group of an image is on average.

    The first is the intraclass correlation of the values' ranks by the analysis of variance (Donner, 1986, equation
    2.3), not below 0; it is 0 where all groups are single images, and 1 where there is one group.

    Parameters
    ----------
    values, groups : ndarray of shape (n_images,)
    """
    from scipy.stats import rankdata

    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    n, n_groups = len(values), len(sizes)
    mean_size = float((sizes.astype(np.float64) ** 2).sum() / n)
    if n_groups in (1, n):
        return float(n_groups == 1 < n), mean_size
    ranks = rankdata(values)
    means = np.bincount(group, ranks) / sizes
    between = float((sizes * (means - ranks.mean()) ** 2).sum()) / (n_groups - 1)
    within = float(((ranks - means[group]) ** 2).sum()) / (n - n_groups)
    usual = (n - mean_size) / (n_groups - 1)
    total = between + (usual - 1) * within
    return (max(0.0, (between - within) / total) if total > 0 else 0.0), mean_size


def _labels(text: object, separator: str | None) -> set[str]:
    return set(str(text).split(separator)) if separator else {str(text)}
