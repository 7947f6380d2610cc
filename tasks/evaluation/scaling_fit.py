"""The scaling under which a model's probabilities fit some images best, found on images that it is not scored on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.config import Kind
from tasks.evaluation.checks import checked_predictions
from tasks.evaluation.forecasts import decision_forecasts
from tasks.evaluation.metrics import score
from tasks.evaluation.outputs import activated, encode, logits_of
from tasks.evaluation.reliability import calibration_error
from tasks.evaluation.scaling import Method, Scaling

_LARGEST = 5.0
"""Bound of the logarithm of a weight and of a bias: a factor of 148 either way."""


def fit_scaling(y_true: np.ndarray, y_prob: np.ndarray, kind: Kind, method: Method = "temperature") -> Scaling:
    """Find the scaling under which these labels are likeliest.

    What is least is the sum over images of the log loss of the classes (Guo et al., 2017, section 4.2), of the labels,
    or of the grades from the second on being reached or not; and half the squares of the logarithms of the weights and
    of the biases. This is a normal prior around no change, of standard deviation 1: it hardly matters from a hundred
    images on, and with few it keeps finite what would not be. Where all decisions are right the temperature stays above
    0; a class that no image has gets a bias of a size that so many images without it allow; where all logits of a label
    are 0, its weight stays 1.

    Parameters
    ----------
    y_true : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1, for `multilabel`
        Classes, grades or labels of validation images. Never those of images that are scored afterwards.
    y_prob : ndarray of shape (n_images, n_classes), 0 to 1
        Their probabilities; rows sum to 1 but for `multilabel`. Of logits take `outputs.class_probabilities` of
        `outputs.activated`.
    kind
        The kind of labels.
    method : {"temperature", "vector"}
        What is fitted; see `Scaling`.

    Raises
    ------
    ValueError
        If labels and probabilities do not fit together, as in `score`, or no minimum was found.
    """
    from scipy.optimize import minimize

    n_classes = np.shape(y_prob)[-1]
    given = checked_predictions(y_true, y_prob, n_classes, kind)
    logits = logits_of(given.y_prob, kind)
    target = np.eye(n_classes)[given.y_true] if kind == "multiclass" else encode(given.y_true, kind, n_classes)
    if kind == "ordinal":
        logits, target = logits[:, 1:], target[:, 1:]
    shared = method == "temperature" and kind != "multilabel"
    place = np.zeros(logits.shape[1], dtype=np.int64) if shared else np.arange(logits.shape[1])
    n_weights = int(place.max()) + 1
    start = np.zeros(n_weights + (logits.shape[1] if method == "vector" else 0))
    found = minimize(
        _loss, start, (logits, np.asarray(target, dtype=np.float64), kind, place), jac=True, method="L-BFGS-B",
        bounds=[(-_LARGEST, _LARGEST)] * len(start), options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-8},
    )  # fmt: skip
    if not np.isfinite(found.fun) or found.fun > _loss(start, logits, target, kind, place)[0]:
        raise ValueError(f"no scaling fits these {len(logits)} images better than none: {found.message}")
    weights, biases = _parted(found.x, place)
    if kind == "ordinal":
        weights, biases = np.append(weights[0] if shared else 1.0, weights), np.append(0.0, biases)
    return Scaling(kind, method, tuple(weights.tolist()), tuple(biases.tolist()))


def calibration_scores(
    y_true: np.ndarray, y_prob: np.ndarray, classes: Sequence[str], kind: Kind, y_pred: np.ndarray | None = None
) -> dict[str, float]:
    """Give what scaling is to lower: `log_loss`, `brier` and `ece` as `score` does, and `ece_mass`.

    `ece_mass` is the expected calibration error in bins of equal mass; parameters are as in `score`.
    """
    given = checked_predictions(y_true, y_prob, len(classes), kind, y_pred)
    scores = score(*given[:2], classes, kind=kind, y_pred=given.y_pred)
    found = {name: scores[name] for name in ("log_loss", "brier", "ece")}
    return found | {"ece_mass": calibration_error(decision_forecasts(given)).value}


def _parted(theta: NDArray[np.float64], place: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give weights and biases, of a class each, of what is fitted: logarithms of weights, and biases if there are."""
    n_weights = int(place.max()) + 1
    biases = theta[n_weights:] if len(theta) > n_weights else np.zeros(len(place))
    return np.exp(theta[:n_weights])[place], biases


def _loss(
    theta: NDArray[np.float64], logits: NDArray[np.float64], target: NDArray[np.float64], kind: str,
    place: NDArray[np.int64],
) -> tuple[float, NDArray[np.float64]]:  # fmt: skip
    """Give the loss an image and its gradient by `theta`."""
    from scipy.special import logsumexp

    weights, biases = _parted(theta, place)
    scaled = logits * weights + biases
    if kind == "multiclass":
        loss = float((logsumexp(scaled, axis=1) - (target * scaled).sum(axis=1)).sum())
    else:
        loss = float((np.logaddexp(0, scaled) - target * scaled).sum())
    slope = activated(scaled, kind) - target
    by_weight = np.bincount(place, weights=(slope * logits).sum(axis=0) * weights)
    by_bias = slope.sum(axis=0) if len(theta) > len(by_weight) else np.empty(0)
    gradient = np.concatenate([by_weight, by_bias]) + theta
    return (loss + float(theta @ theta) / 2) / len(logits), gradient / len(logits)
