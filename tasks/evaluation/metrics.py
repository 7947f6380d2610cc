"""Figures of how good predictions are, for every kind of labels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from tasks.config import Kind
from tasks.dataset.targets import memberships
from tasks.evaluation.calibration import expected_calibration_error
from tasks.evaluation.checks import Predictions, checked_predictions
from tasks.evaluation.names import METRIC_NAMES, higher_is_better, metric_key, metric_range, metrics_of

__all__ = [
    "METRIC_NAMES",
    "expected_calibration_error",
    "higher_is_better",
    "metric_key",
    "metric_range",
    "metrics_of",
    "score",
]


def score(
    y_true: np.ndarray,
    y_prob: np.ndarray,
    classes: Sequence[str],
    *,
    kind: Kind = "multiclass",
    y_pred: np.ndarray | None = None,
) -> dict[str, float]:
    """Every metric that is defined for these predictions, by name.

    A metric that is undefined is left out and never NaN: the recall or the ROC area of a class without an image, or
    the ROC area where all images are of one class. Averages are taken over the classes for which the figure is
    defined. As in scikit-learn, the precision of a class that is never predicted counts as 0.

    Parameters
    ----------
    y_true : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1, for `multilabel`
        Class or grade numbers, from 0 to n_classes - 1, or which labels an image has.
    y_prob : ndarray of shape (n_images, n_classes), 0 to 1
        Probabilities; rows sum to 1 but for `multilabel`.
    classes : sequence of str
        The labels in column order, two or more. With two that exclude each other, the second is the positive class of
        `roc_auc` and `average_precision`; else both are means over the classes, each against the rest.
    kind
        The kind of labels.
    y_pred : ndarray like y_true, or None
        What was decided; None: what `outputs.decide` makes of the probabilities.

    Returns
    -------
    dict of str to float
        Of `metrics_of(kind)` those that are defined, and `f1/<class>`, `precision/<class>`, `recall/<class>` and, but
        for two classes that exclude each other, `roc_auc/<class>`, where `<class>` is `metric_key` of the label.

        `brier` is the mean squared distance between probabilities and truth (Brier, 1950), summed over the classes
        (0 to 2) or, for two classes, that of the positive class alone (0 to 1), as in scikit-learn. For grades,
        `quadratic_kappa` is Cohen's kappa with disagreements weighted by the square of their distance (Cohen, 1968),
        and `mean_absolute_error` the mean distance in grades. With several labels an image, `log_loss` (binary
        cross-entropy) and `brier` are means over images and labels, `subset_accuracy` is the share of images with all
        labels right, `hamming_loss` the share of wrong decisions, and `ece` is over all decisions.

    Raises
    ------
    ValueError
        If the shapes do not fit together, there is no image, or a probability is not finite or outside 0 to 1.
    """
    given = checked_predictions(y_true, y_prob, len(classes), kind, y_pred)
    found = _ranking_scores(given, classes) | _decision_scores(given, classes)
    if kind == "multilabel":
        found |= _scores_of_labels(given)
    else:
        found |= {"balanced_accuracy": found["recall_macro"]} | _scores_of_one_class(given)
    if kind == "ordinal":
        found |= _scores_of_grades(given, len(classes))
    found["ece"] = expected_calibration_error(*given)
    whole = metrics_of(kind)
    return {name: found[name] for name in [*whole, *sorted(set(found) - set(whole))] if name in found}


def _ranking_scores(given: Predictions, classes: Sequence[str]) -> dict[str, float]:
    from sklearn.metrics import average_precision_score, roc_auc_score

    one_of_two = len(classes) == 2 and given.y_true.ndim == 1
    truth = memberships(given.y_true, len(classes))
    area: dict[int, float] = {}
    precision: list[float] = []
    for number in [1] if one_of_two else range(len(classes)):
        of_class, probability = truth[:, number], given.y_prob[:, number]
        if of_class.any():
            precision.append(float(average_precision_score(of_class, probability)))
            if not of_class.all():
                area[number] = float(roc_auc_score(of_class, probability))
    found = {f"roc_auc/{metric_key(classes[number])}": value for number, value in area.items() if not one_of_two}
    if area:
        found["roc_auc"] = float(np.mean(list(area.values())))
    if precision:
        found["average_precision"] = float(np.mean(precision))
    return found


def _decision_scores(given: Predictions, classes: Sequence[str]) -> dict[str, float]:
    from sklearn.metrics import precision_recall_fscore_support

    n_classes = len(classes)
    present = memberships(given.y_true, n_classes).any(axis=0)
    known = present | memberships(given.y_pred, n_classes).any(axis=0)
    by_class = precision_recall_fscore_support(
        given.y_true, given.y_pred, labels=np.arange(n_classes), zero_division=0.0
    )
    defined = {"precision": known, "recall": present, "f1": known}
    found: dict[str, float] = {}
    for (name, where), values in zip(defined.items(), by_class[:3], strict=True):
        if where.any():
            found[f"{name}_macro"] = float(values[where].mean())
        found |= {f"{name}/{metric_key(classes[i])}": float(values[i]) for i in np.flatnonzero(where).tolist()}
    return found


def _scores_of_one_class(given: Predictions) -> dict[str, float]:
    from sklearn import metrics as sk

    y_true, y_prob, y_pred = given
    n_classes = y_prob.shape[1]
    found = {"accuracy": float(sk.accuracy_score(y_true, y_pred))}
    if _several_known(given):
        found["cohen_kappa"] = float(sk.cohen_kappa_score(y_true, y_pred))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found["matthews_corrcoef"] = float(sk.matthews_corrcoef(y_true, y_pred))
    found["log_loss"] = float(sk.log_loss(y_true, y_prob, labels=np.arange(n_classes)))
    distance = np.square(y_prob - np.eye(n_classes)[y_true]).sum(axis=1).mean()
    found["brier"] = float(distance / 2 if n_classes == 2 else distance)
    return found


def _scores_of_grades(given: Predictions, n_grades: int) -> dict[str, float]:
    from sklearn.metrics import cohen_kappa_score

    y_true, _, y_pred = given
    found = {"mean_absolute_error": float(np.abs(y_true - y_pred).mean())}
    if _several_known(given):
        grades = np.arange(n_grades)
        found["quadratic_kappa"] = float(cohen_kappa_score(y_true, y_pred, labels=grades, weights="quadratic"))
    return found


def _scores_of_labels(given: Predictions) -> dict[str, float]:
    y_true, y_prob, y_pred = given
    right = y_true == y_pred
    least = np.finfo(np.float64).eps
    of_truth = np.clip(np.where(y_true == 1, y_prob, 1 - y_prob), least, 1 - least)
    return {
        "subset_accuracy": float(right.all(axis=1).mean()),
        "hamming_loss": float((~right).mean()),
        "log_loss": float(-np.log(of_truth).mean()),
        "brier": float(np.square(y_prob - y_true).mean()),
    }


def _several_known(given: Predictions) -> bool:
    return len(np.union1d(given.y_true, given.y_pred)) > 1
