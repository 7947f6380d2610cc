"""Every metric by its name, under weights of units of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.comparison.statistics.decisions import (
    BY_CLASS,
    COUNTED,
    calibration_error_scorer,
    counted_scorer,
    quadratic_kappa_scorer,
)
from tasks.comparison.statistics.ranked import average_precision_scorer, roc_auc_scorer
from tasks.comparison.statistics.units import Array, Scorer, mean_of_known, mean_scorer
from tasks.config import Kind
from tasks.dataset.targets import Targets, memberships
from tasks.evaluation.checks import Predictions
from tasks.evaluation.names import higher_is_better, metric_key, metrics_of

_RANKED = {"roc_auc": roc_auc_scorer, "average_precision": average_precision_scorer}


@dataclass(frozen=True)
class RowMetric:
    """A metric of one's own. It is computed anew for each draw, which takes its time.

    Attributes
    ----------
    name
        What it is called.
    function
        Gives its value for `y_true`, `y_prob` and `y_pred` as `Predictions` has them; NaN where it is undefined.
    higher_is_better
        Whether a larger value is a better one.
    """

    name: str
    function: Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], float]
    higher_is_better: bool = True


def metric_name(metric: str | RowMetric) -> str:
    """Return what a metric is called."""
    return metric if isinstance(metric, str) else metric.name


def larger_is_better(metric: str | RowMetric) -> bool:
    """Whether a larger value of this metric is the better one.

    Raises
    ------
    InputError
        If there is no metric of that name.
    """
    return higher_is_better(metric) if isinstance(metric, str) else metric.higher_is_better


def weighted_metric(metric: str | RowMetric, given: Predictions, units: NDArray[np.int64], targets: Targets) -> Scorer:
    """Return the scorer of a metric: with a weight of 1 for each unit it gives what `metrics.score` does.

    Parameters
    ----------
    metric : str or RowMetric
        A name as in `metrics.score`, also of a single class (`recall/<class>`), or a metric of one's own.
    given : Predictions
        Of n_images images, checked by `checked_predictions`.
    units : ndarray of shape (n_images,), 0 to n_units - 1
        The unit of each image; every unit has one.
    targets : Targets
        The kind of labels and the classes.

    Raises
    ------
    InputError
        If there is no metric of that name.
    ValueError
        If labels of this kind do not have the metric, or it is that of a class that there is not.
    """
    if isinstance(metric, RowMetric):
        return _row_scorer(metric, given, units)
    name, _, label = metric.partition("/")
    number = _number(metric, targets)
    n_classes = len(targets.classes)
    if name in COUNTED or (label and name in BY_CLASS):
        return counted_scorer(name, given, units, n_classes, number)
    if name in _RANKED:
        return _ranked_scorer(name, given, units, n_classes, number)
    if name == "ece":
        return calibration_error_scorer(given, units)
    if name == "quadratic_kappa":
        return quadratic_kappa_scorer(given, units)
    return mean_scorer(image_values(name, given, targets.kind), units)


def image_values(metric: str, given: Predictions, kind: Kind) -> Array:
    """Return each image's part of a metric that is a mean over images, of shape (n_images,).

    Parameters
    ----------
    metric : str
        `log_loss`, `brier`, `mean_absolute_error`, `subset_accuracy` or `hamming_loss`, as `metrics.score` has them.
    given : Predictions
        Truth, probabilities and decisions.
    kind
        The kind of labels.
    """
    y_true, y_prob, y_pred = given
    n_classes = y_prob.shape[1]
    truth = memberships(y_true, n_classes).astype(np.float64)
    least = np.finfo(np.float64).eps
    if metric == "log_loss" and kind != "multilabel":
        return np.asarray(-np.log(np.clip((truth * y_prob).sum(axis=1), least, 1 - least)))
    if metric == "log_loss":
        of_truth = np.clip(np.where(truth == 1, y_prob, 1 - y_prob), least, 1 - least)
        return np.asarray(-np.log(of_truth).mean(axis=1))
    if metric == "brier":
        distance = np.square(y_prob - truth)
        two = kind == "multilabel" or n_classes == 2
        return np.asarray(distance.mean(axis=1) if two else distance.sum(axis=1))
    values = {
        "mean_absolute_error": lambda: np.abs(y_true - y_pred),
        "subset_accuracy": lambda: (y_true == y_pred).all(axis=1),
        "hamming_loss": lambda: (y_true != y_pred).mean(axis=1),
    }
    return np.asarray(values[metric](), dtype=np.float64)


def _number(metric: str, targets: Targets) -> int | None:
    """Give the number of the class that a metric is of; None where it is of all of them."""
    higher_is_better(metric)
    name, _, label = metric.partition("/")
    keys = [metric_key(own) for own in targets.classes]
    if label and label in keys:
        return keys.index(label)
    if label:
        raise ValueError(f"`{metric}` is of no class: the classes are {', '.join(keys)}.")
    if name not in metrics_of(targets.kind):
        raise ValueError(f"{targets.kind} labels have no `{metric}`: they have {', '.join(metrics_of(targets.kind))}.")
    return None


def _ranked_scorer(
    name: str, given: Predictions, units: NDArray[np.int64], n_classes: int, number: int | None
) -> Scorer:
    truth = memberships(given.y_true, n_classes)
    one_of_two = n_classes == 2 and given.y_true.ndim == 1
    wanted: Sequence[int] = range(n_classes)
    if number is not None or one_of_two:
        wanted = [1 if number is None else number]
    scorers = [_RANKED[name](truth[:, own], given.y_prob[:, own], units) for own in wanted]

    def weighted(weights: Array) -> Array:
        return mean_of_known(np.stack([own(weights) for own in scorers], axis=1))

    return weighted


def _row_scorer(metric: RowMetric, given: Predictions, units: NDArray[np.int64]) -> Scorer:
    rows = np.arange(len(units))

    def weighted(weights: Array) -> Array:
        drawn = (np.repeat(rows, own[units].astype(np.int64)) for own in weights)
        return np.array([metric.function(*(part[chosen] for part in given)) for chosen in drawn], dtype=np.float64)

    return weighted
