"""ROC and precision-recall curves of each class against the rest, and the reliability of the confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.config import Kind
from tasks.dataset.targets import memberships
from tasks.evaluation.calibration import expected_calibration_error, reliability
from tasks.evaluation.style import QUIET, ROLES, figure, line_styles, shown, tidy, widest

_LEGEND_INSIDE = 5
_LEGEND_ROWS = 22
_SIDE = 4.6
_FIFTHS = np.linspace(0, 1, 6)
_Curve = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, str]]
_Point = Callable[[np.ndarray, np.ndarray], tuple[float, float]]
_Dots = tuple[np.ndarray, _Point]
_CONFIDENCE: dict[Kind, tuple[str, str]] = {
    "multiclass": ("probability of the predicted class", "images"),
    "ordinal": ("probability of the predicted grade", "images"),
    "multilabel": ("probability of what is said of a label", "label decisions"),
}


def roc_figure(
    y_true: np.ndarray, y_prob: np.ndarray, classes: Sequence[str], y_pred: np.ndarray | None = None
) -> Figure:
    """Draw one ROC curve a class, with its area; a class that has none is named in the legend.

    Parameters
    ----------
    y_true : ndarray of shape (n_images,), int, or (n_images, n_classes), 0 or 1
        Class or grade numbers, or which labels an image has.
    y_prob : ndarray of shape (n_images, n_classes), 0 to 1
        Probabilities.
    classes : sequence of str
        The labels in column order.
    y_pred : ndarray of shape (n_images, n_classes), 0 or 1, or None
        Which labels were given: a dot on each curve shows where its threshold lies. None: no dots.
    """
    from sklearn.metrics import auc, roc_curve

    def decided(of_class: np.ndarray, given: np.ndarray) -> tuple[float, float]:
        return float(given[~of_class].mean()), float(given[of_class].mean())

    def curve(of_class: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
        false, true, _ = roc_curve(of_class, probability)
        return false, true, f"area {auc(false, true):.3f}"

    truth = memberships(y_true, len(classes))
    drawn = _curves(truth, y_prob, classes, curve, needs_rest=True, corner="lower right", dots=_dots(y_pred, decided))
    axes = drawn.axes[0]
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (1, 3)), zorder=0)
    tidy(axes, f"ROC, {_of_what(y_true, y_pred)}", "false positive rate", "true positive rate")
    return drawn


def precision_recall_figure(
    y_true: np.ndarray, y_prob: np.ndarray, classes: Sequence[str], y_pred: np.ndarray | None = None
) -> Figure:
    """Draw one precision-recall curve a class, with its average precision; parameters as in `roc_figure`."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    def decided(of_class: np.ndarray, given: np.ndarray) -> tuple[float, float]:
        return float(given[of_class].mean()), float(of_class[given].mean()) if given.any() else 1.0

    def curve(of_class: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
        precision, recall, _ = precision_recall_curve(of_class, probability)
        average = average_precision_score(of_class, probability)
        return recall, precision, f"average {average:.3f}, share {of_class.mean():.2f}"

    drawn = _curves(
        memberships(y_true, len(classes)), y_prob, classes, curve,
        needs_rest=False, corner="lower left", steps=True, dots=_dots(y_pred, decided),
    )  # fmt: skip
    tidy(drawn.axes[0], f"Precision and recall, {_of_what(y_true, y_pred)}", "recall", "precision")
    return drawn


def calibration_figure(
    y_true: np.ndarray,
    y_prob: np.ndarray,
    classes: Sequence[str],
    kind: Kind = "multiclass",
    y_pred: np.ndarray | None = None,
) -> Figure:
    """Draw the accuracy over the confidence in 15 bins, and how many images or label decisions are in each.

    The bins are those of `expected_calibration_error`, whose parameters these are.
    """
    bins = reliability(y_true, y_prob, y_pred)
    n_bins = len(bins["count"])
    filled = bins["count"] > 0
    middle = (np.arange(n_bins) + 0.5) / n_bins
    drawn = figure(4.4, 5.2)
    above, below = drawn.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    above.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle="--", label="confidence = accuracy")
    above.bar(
        middle[filled], bins["accuracy"][filled], width=0.92 / n_bins, color="#9DBBD9", label="accuracy in the bin"
    )
    above.plot(
        bins["confidence"][filled], bins["accuracy"][filled], "o", color=ROLES["train"], markersize=5,
        label="at its mean confidence",
    )  # fmt: skip
    error = expected_calibration_error(y_true, y_prob, y_pred)
    tidy(above, f"Reliability (expected calibration error {error:.3f})", "", "accuracy")
    above.set(xlim=(0, 1), ylim=(-0.03, 1.04), xticks=_FIFTHS, yticks=_FIFTHS)
    above.legend(frameon=False, loc="upper left", fontsize=9)
    below.bar(middle, bins["count"], width=0.92 / n_bins, color="#C3C9D0")
    tidy(below, "", *_CONFIDENCE[kind])
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    if kind == "multiclass":
        _mark_least(below, len(classes))
    return drawn


def _mark_least(axes: Axes, n_classes: int) -> None:
    axes.axvline(1 / n_classes, color=QUIET, linewidth=0.8, linestyle=":")
    axes.annotate(
        "least possible", (1 / n_classes, 1), xycoords=("data", "axes fraction"), xytext=(4, -2),
        textcoords="offset points", va="top", fontsize=8, color=QUIET,
    )  # fmt: skip


def _of_what(y_true: np.ndarray, y_pred: np.ndarray | None) -> str:
    what = "each label" if y_true.ndim == 2 else "one class against the rest"
    return what if y_pred is None else f"{what} (dot: as decided)"


def _dots(y_pred: np.ndarray | None, point: _Point) -> _Dots | None:
    return None if y_pred is None else (y_pred == 1, point)


def _curves(
    truth: np.ndarray,
    y_prob: np.ndarray,
    classes: Sequence[str],
    curve: _Curve,
    *,
    needs_rest: bool,
    corner: str,
    steps: bool = False,
    dots: _Dots | None = None,
) -> Figure:
    few = len(classes) <= _LEGEND_INSIDE
    columns = 1 + (len(classes) - 1) // _LEGEND_ROWS
    longest = f"{max(map(shown, classes), key=len)} (average 0.000, share 0.00: no)"
    # Inside the panel, a long legend reaches beyond it; beside it, it stands in columns.
    beside = widest([longest], 9) - _SIDE + 0.4 if few else columns * (widest([longest], 8) + 0.6)
    drawn = figure(_SIDE, _SIDE, right=max(beside, 0.4))
    axes = drawn.subplots()
    for number, style in enumerate(line_styles(len(classes))):
        of_class, name = truth[:, number], shown(classes[number])
        if not of_class.any() or (needs_rest and of_class.all()):
            missing = "no image of another class" if of_class.any() else "no image"
            axes.plot([], [], label=f"{name} ({missing})", color="#C3C9D0")
            continue
        x, y, told = curve(of_class, y_prob[:, number])
        axes.plot(x, y, label=f"{name} ({told})", drawstyle="steps-post" if steps else "default", **style)
        if dots is not None:
            given, point = dots
            axes.plot(*point(of_class, given[:, number]), "o", color=style["color"], markersize=6, clip_on=False)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xticks=_FIFTHS, yticks=_FIFTHS)
    axes.set_box_aspect(1)
    place = {"loc": corner, "fontsize": 9} if few else {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    axes.legend(**{"frameon": not few, "fontsize": 8, "ncols": columns, "edgecolor": "none"} | place)
    return drawn
