"""What was taken for what: confusion of classes and grades, and right and wrong decisions on each label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tasks.dataset.targets import memberships
from tasks.evaluation.style import figure, shown, tidy, widest

_MOST_SHARES = 8
_INK, _ON_DARK, _DARK = "#1C2026", "white", 0.55


def confusion_figure(y_true: np.ndarray, y_pred: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw the confusion matrix: numbers of images, shaded by their share of the true class.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_images,), int
        True and predicted class or grade numbers.
    classes : sequence of str
        The labels in order.
    """
    from sklearn.metrics import confusion_matrix

    n = len(classes)
    table = confusion_matrix(y_true, y_pred, labels=np.arange(n))
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = max(0.34 * n, min(0.85 * n, 5.5))
    size = 10 if n <= 12 else 8
    names = [shown(label) for label in classes]
    room = widest(names, size)
    slanted = room > side / n
    margins = {"left": room + 0.6, "bottom": (0.75 * room if slanted else 0) + 0.8, "right": room / 2 + 0.4}
    drawn = figure(side, side, **margins)
    axes = drawn.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(np.arange(n), names, rotation=45 if slanted else 0, ha="right" if slanted else "center")
    axes.set_yticks(np.arange(n), names)
    axes.tick_params(labelsize=size)
    for (row, column), count in np.ndenumerate(table):
        if count or n <= 12:
            told = f"{count}\n{share[row, column]:.0%}" if n <= _MOST_SHARES else f"{count}"
            colour = _ON_DARK if share[row, column] > _DARK else _INK
            axes.text(column, row, told, ha="center", va="center", color=colour, fontsize=min(size, 10))
    tidy(axes, "Confusion matrix", "predicted", "true")
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    if n > _MOST_SHARES:
        axes.text(1, 1.01, "darker: a larger share of the true class", fontsize=8, ha="right", transform=axes.transAxes)
    return drawn


def label_confusion_figure(y_true: np.ndarray, y_pred: np.ndarray, classes: Sequence[str]) -> Figure:
    """Draw one row a label: the images that have it and those that do not, each as given and not given.

    Each number of images stands with, and is shaded by, its share of the images that have the label, or have it not.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n_images, n_classes), 0 or 1
        Which labels an image has, and which were given.
    classes : sequence of str
        The labels in order.
    """
    n = len(classes)
    truth, given = memberships(y_true, n), memberships(y_pred, n)
    names, height = [shown(label) for label in classes], 0.34 * n
    drawn = figure(4.6, height, left=widest(names, 10) + 0.4, top=1.1, bottom=0.5)
    halves = drawn.subplots(1, 2, gridspec_kw={"wspace": 0.06})
    for axes, side, title in zip(halves, (truth, ~truth), ("images that have it", "images without it"), strict=True):
        table = np.stack([(side & given).sum(axis=0), (side & ~given).sum(axis=0)], axis=1)
        _draw_shares(axes, table, np.maximum(table.sum(axis=1, keepdims=True), 1))
        axes.set_xticks([0, 1], ["given", "not given"])
        axes.set_yticks(np.arange(n), names if axes is halves[0] else [""] * n)
        axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0, labelsize=10)
        axes.annotate(title, (0.5, 1), (0, 22), "axes fraction", "offset points", ha="center", fontsize=10)
        tidy(axes, "", "", "")
        axes.spines[:].set_visible(False)
        axes.grid(visible=False)
    halves[0].annotate(
        "Decisions on each label", (0, 1), (0, 42), "axes fraction", "offset points", fontsize=12, fontweight="bold"
    )
    return drawn


def _draw_shares(axes: Axes, table: np.ndarray, whole: np.ndarray) -> None:
    share = table / whole
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), count in np.ndenumerate(table):
        colour = _ON_DARK if share[row, column] > _DARK else _INK
        told = f"{count} · {share[row, column]:.0%}"
        axes.text(column, row, told, ha="center", va="center", color=colour, fontsize=9)
