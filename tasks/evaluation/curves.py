"""ROC and precision-recall curves of each class against the rest, and the reliability of the confidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tasks.evaluation.metrics import expected_calibration_error, reliability
from tasks.evaluation.style import QUIET, ROLES, figure, line_styles, shown, tidy, widest

_LEGEND_INSIDE = 5
_LEGEND_ROWS = 22
_SIDE = 4.6
_FIFTHS = np.linspace(0, 1, 6)
_Curve = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, str]]


def roc_figure(y_true: np.ndarray, y_prob: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw one ROC curve a class, with its area; a class that has none is named in the legend.

    Parameters
    ----------
    y_true : ndarray of shape (n_images,), int
        Class numbers.
    y_prob : ndarray of shape (n_images, n_classes), rows sum to 1
        Probabilities.
    classes : sequence of str
        The labels in column order.
    """
    from sklearn.metrics import auc, roc_curve

    def curve(of_class: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
        false, true, _ = roc_curve(of_class, probability)
        return false, true, f"area {auc(false, true):.3f}"

    drawn = _curves(y_true, y_prob, classes, curve, needs_rest=True, corner="lower right")
    axes = drawn.axes[0]
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (1, 3)), zorder=0)
    tidy(axes, "ROC, one class against the rest", "false positive rate", "true positive rate")
    return drawn


def precision_recall_figure(y_true: np.ndarray, y_prob: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw one precision-recall curve a class, with its average precision; parameters as in `roc_figure`."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    def curve(of_class: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray, str]:
        precision, recall, _ = precision_recall_curve(of_class, probability)
        average = average_precision_score(of_class, probability)
        return recall, precision, f"average {average:.3f}, share {of_class.mean():.2f}"

    drawn = _curves(y_true, y_prob, classes, curve, needs_rest=False, corner="lower left", steps=True)
    tidy(drawn.axes[0], "Precision and recall, one class against the rest", "recall", "precision")
    return drawn


def calibration_figure(y_true: np.ndarray, y_prob: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw the accuracy over the confidence in 15 bins, and how many images are in each.

    Parameters as in `roc_figure`. The bins are those of `expected_calibration_error`.
    """
    bins = reliability(y_true, y_prob)
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
    error = expected_calibration_error(y_true, y_prob)
    tidy(above, f"Reliability (expected calibration error {error:.3f})", "", "accuracy")
    above.set(xlim=(0, 1), ylim=(-0.03, 1.04), xticks=_FIFTHS, yticks=_FIFTHS)
    above.legend(frameon=False, loc="upper left", fontsize=9)
    below.bar(middle, bins["count"], width=0.92 / n_bins, color="#C3C9D0")
    tidy(below, "", "probability of the predicted class", "images")
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    below.axvline(1 / len(classes), color=QUIET, linewidth=0.8, linestyle=":")
    below.annotate(
        "least possible", (1 / len(classes), 1), xycoords=("data", "axes fraction"), xytext=(4, -2),
        textcoords="offset points", va="top", fontsize=8, color=QUIET,
    )  # fmt: skip
    return drawn


def _curves(
    y_true: np.ndarray,
    y_prob: np.ndarray,
    classes: Sequence[str],
    curve: _Curve,
    *,
    needs_rest: bool,
    corner: str,
    steps: bool = False,
) -> Figure:
    few = len(classes) <= _LEGEND_INSIDE
    columns = 1 + (len(classes) - 1) // _LEGEND_ROWS
    longest = f"{max(map(shown, classes), key=len)} (average 0.000, share 0.00: no)"
    # Inside the panel, a long legend reaches beyond it; beside it, it stands in columns.
    beside = widest([longest], 9) - _SIDE + 0.4 if few else columns * (widest([longest], 8) + 0.6)
    drawn = figure(_SIDE, _SIDE, right=max(beside, 0.4))
    axes = drawn.subplots()
    for number, style in enumerate(line_styles(len(classes))):
        of_class, name = y_true == number, shown(classes[number])
        if not of_class.any() or (needs_rest and of_class.all()):
            missing = "no image of another class" if of_class.any() else "no image"
            axes.plot([], [], label=f"{name} ({missing})", color="#C3C9D0")
            continue
        x, y, told = curve(of_class, y_prob[:, number])
        axes.plot(x, y, label=f"{name} ({told})", drawstyle="steps-post" if steps else "default", **style)
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xticks=_FIFTHS, yticks=_FIFTHS)
    axes.set_box_aspect(1)
    place = {"loc": corner, "fontsize": 9} if few else {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    axes.legend(**{"frameon": not few, "fontsize": 8, "ncols": columns, "edgecolor": "none"} | place)
    return drawn
