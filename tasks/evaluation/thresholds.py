"""From which probability on a label counts as given: by setting, or as validation images tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.config import InputError

USUAL = 0.5
"""The threshold where nothing speaks for another one."""

_SAME = 1e-12


def given_thresholds(setting: float | Mapping[str, float] | None, classes: Sequence[str]) -> NDArray[np.float64]:
    """Return the threshold of each label, of shape (n_classes,), 0 to 1, from the file's `evaluation.thresholds`.

    Parameters
    ----------
    setting
        One threshold for all labels, or one a label; None: 0.5 for all.
    classes : sequence of str
        The labels in column order.

    Raises
    ------
    InputError
        If a label has no threshold, or a threshold no label.
    """
    if not isinstance(setting, Mapping):
        return np.full(len(classes), USUAL if setting is None else setting, dtype=np.float64)
    unknown, missing = sorted(set(setting) - set(classes)), [name for name in classes if name not in setting]
    if unknown or missing:
        named = f"names {', '.join(map(repr, unknown))}, which is no label of the data" if unknown else ""
        left_out = f"leaves out {', '.join(map(repr, missing))}" if missing else ""
        raise InputError(
            f"evaluation.thresholds {' and '.join(filter(None, (named, left_out)))}. It takes one threshold for each "
            f"label ({', '.join(classes)}), or one number for all of them."
        )
    return np.array([setting[name] for name in classes], dtype=np.float64)


def tuned_thresholds(y_true: NDArray[np.int64], y_prob: np.ndarray) -> NDArray[np.float64]:
    """Return for each label the threshold with the best F1 on these images, of shape (n_classes,), 0 to 1.

    All thresholds between two neighbouring probabilities decide alike, and the one midway is taken; of equally good
    ones the one nearest to 0.5. A label that no image has, or that all have, keeps 0.5.

    Parameters
    ----------
    y_true : ndarray of shape (n_images, n_classes), 0 or 1
        Which labels each image has. Never those of images that are scored afterwards.
    y_prob : ndarray of shape (n_images, n_classes), 0 to 1
        Probabilities.
    """
    columns = zip(np.asarray(y_true).T, np.asarray(y_prob, dtype=np.float64).T, strict=True)
    return np.array([_tuned(of_label, probability) for of_label, probability in columns], dtype=np.float64)


def _tuned(of_label: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    from sklearn.metrics import precision_recall_curve

    if not 0 < of_label.sum() < len(of_label):
        return USUAL
    precision, recall, scores = precision_recall_curve(of_label, probability)
    total = (precision + recall)[:-1]
    f1 = np.divide(2 * (precision * recall)[:-1], total, out=np.zeros_like(total), where=total > 0)
    below = np.concatenate([[0.0], scores[:-1]])
    midway = (below + scores) / 2
    midway = np.where(midway > below, midway, scores)  # neighbours may have no number between them
    best = midway[f1 >= f1.max() - _SAME]
    return float(best[np.abs(best - USUAL).argmin()])
