"""Which classes are taken for which, the most confused pairs first, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.shares import share_interval
from tasks.dataset.targets import Targets, memberships
from tasks.evaluation.checks import Predictions

COLUMNS = ("true", "predicted", "n_confused", "n_of_true", "share", "low", "high", "n_groups")
"""The columns of the table of confused pairs."""

MOST_PAIRS = 20
"""How many pairs are told."""


def confused_pairs(
    predictions: Predictions,
    targets: Targets,
    groups: NDArray[np.object_] | None = None,
    *,
    most: int = MOST_PAIRS,
    seed: int = 0,
) -> pd.DataFrame:
    """Give the pairs of classes that are confused, those with the most images first.

    Parameters
    ----------
    predictions
        Labels, probabilities and decisions, as `pooling.predictions_of` gives them.
    targets
        The kind of labels and the classes.
    groups : ndarray of shape (n_images,) or None
        The group of each image, such as the patient; None: each image is a group of its own.
    most
        How many pairs are told at most.
    seed
        The same seed gives the same intervals.

    Returns
    -------
    DataFrame
        One row a pair that occurs: `true` and `predicted` (classes), `n_confused` images of `n_of_true`, their `share`
        (0 to 1) with its 95 % interval `low` and `high`, and `n_groups` with an image of the true class. The interval
        is that of `shares.share_interval`, missing with too few groups. With several labels, a pair is a label that an
        image has and was not given, and one that it was given and does not have; `n_of_true` counts the images that
        have the first and not the second.
    """
    n_classes = len(targets.classes)
    truth, given = (memberships(y, n_classes) for y in (predictions.y_true, predictions.y_pred))
    missed, added = (truth & ~given).astype(np.int64), (given & ~truth).astype(np.int64)
    counts = missed.T @ added
    order = np.argsort(-counts, axis=None, kind="stable")[:most]
    rows = []
    for true, predicted in zip(*np.unravel_index(order, counts.shape), strict=True):
        if counts[true, predicted]:
            could = truth[:, true] & ~truth[:, predicted]
            confused = (missed[:, true] & added[:, predicted])[could]
            own = None if groups is None else np.asarray(groups)[could]
            names = targets.classes[true], targets.classes[predicted]
            share = share_interval(confused.astype(bool), own, seed=seed)
            figures = share.mean, share.low, share.high, share.n_groups
            rows.append((*names, int(confused.sum()), int(could.sum()), *figures))
    return pd.DataFrame(rows, columns=list(COLUMNS))
