"""The images whose labels are probably wrong, of every kind of labels, with what they should perhaps be."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.errors.confident_learning import Rule, normalised_margin, self_confidence, suspects
from tasks.comparison.pooling import predictions_of
from tasks.dataset.targets import Targets
from tasks.evaluation.checks import Predictions
from tasks.evaluation.scaling_fit import fit_scaling

COLUMNS = ("path", "sha256", "given", "suggested", "probability", "margin", "self_confidence")
"""The columns of the table of suspect labels."""


class _Suspects(NamedTuple):
    """Which images are suspect, with what is suggested and how sure that is; of shape (n_images,) each."""

    picked: NDArray[np.bool_]
    suggested: NDArray[np.int64]
    """As the labels: (n_images, n_classes), 0 or 1, for several labels."""
    probability: NDArray[np.float64]
    margin: NDArray[np.float64]
    self_confidence: NDArray[np.float64]


def suspect_labels(
    oof: pd.DataFrame,
    targets: Targets,
    *,
    rule: Rule = "both",
    ranked_by: Literal["margin", "self_confidence"] = "margin",
) -> pd.DataFrame:
    """Give the images whose labels are probably wrong, the least plausible label first.

    Classes and grades are judged by confident learning (see `confident_learning`); with several labels an image, each
    label is judged by itself as a question of yes or no. What is suggested is what was decided for the image from its
    out-of-fold probabilities, and an image that was decided for as its label says is never suspect.

    Parameters
    ----------
    oof
        Out-of-fold predictions as `pooling.pool_out_of_fold` gives them, of one backbone or averaged over several.
    targets
        The kind of labels and the classes.
    rule : {"by_class", "by_noise_rate", "both"}
        How suspects are picked: see `confident_learning.suspects`.
    ranked_by : {"margin", "self_confidence"}
        Which column the table is sorted by, the lowest first; equals by path.

    Returns
    -------
    DataFrame
        One row a suspect: `path`, `sha256`, `given` and `suggested` (labels), `probability` of what is suggested (0 to
        1), `margin` (that of the given label over the likeliest other, -1 to 1) and `self_confidence` (the probability
        of the given label, 0 to 1). With several labels the last three are those of the label that is least plausible,
        and `suggested` holds all changes.

    Raises
    ------
    ValueError
        If the table does not fit the classes.
    """
    found = _suspects(predictions_of(oof, targets), targets, rule)
    table = pd.DataFrame(
        {
            "path": oof["path"].to_numpy(),
            "sha256": oof["sha256"].to_numpy(),
            "given": oof["true"].to_numpy(),
            "suggested": pd.Series(targets.texts(found.suggested), dtype=str),
            "probability": found.probability,
            "margin": found.margin,
            "self_confidence": found.self_confidence,
        },
        columns=list(COLUMNS),
    )
    return table[found.picked].sort_values([ranked_by, "path"], ignore_index=True)


def suspects_by_chance(
    oof: pd.DataFrame, targets: Targets, *, rule: Rule = "both", n_draws: int = 100, seed: int = 0
) -> NDArray[np.int64]:
    """Give how many suspects there would be if no label were wrong, of shape (n_draws,).

    Labels are drawn as the probabilities say, each draw anew, and judged like the given ones. The probabilities that
    are drawn from are first made as sure as the given labels bear out (`fit_scaling`, a temperature). Wrong labels
    among these make them less sure, as hard images do, so that the numbers are an upper bound: probabilities alone do
    not tell the one from the other.

    Parameters
    ----------
    oof, targets, rule
        As in `suspect_labels`.
    n_draws : int
        Number of draws.
    seed : int
        The same seed gives the same numbers.
    """
    random = np.random.default_rng(seed)
    y_given, y_prob, y_pred = predictions_of(oof, targets)
    likely = fit_scaling(y_given, y_prob, targets.kind).apply(y_prob)
    ends = np.cumsum(likely, axis=1)
    counts = []
    for _ in range(n_draws):
        if targets.kind == "multilabel":
            drawn = (random.random(likely.shape) < likely).astype(np.int64)
        else:
            drawn = (ends < random.random((len(ends), 1)) * ends[:, -1:]).sum(axis=1).astype(np.int64)
        counts.append(int(_suspects(Predictions(drawn, y_prob, y_pred), targets, rule).picked.sum()))
    return np.array(counts, dtype=np.int64)


def _suspects(predictions: Predictions, targets: Targets, rule: Rule) -> _Suspects:
    return _of_labels(predictions, rule) if targets.kind == "multilabel" else _of_classes(predictions, rule)


def _of_classes(predictions: Predictions, rule: Rule) -> _Suspects:
    y_given, y_prob, y_pred = predictions
    picked = suspects(y_given, y_prob, rule) & (y_pred != y_given)
    suggested = np.take_along_axis(y_prob, y_pred[:, None], axis=1)[:, 0]
    return _Suspects(picked, y_pred, suggested, normalised_margin(y_given, y_prob), self_confidence(y_given, y_prob))


def _of_labels(predictions: Predictions, rule: Rule) -> _Suspects:
    y_given, y_prob, y_pred = predictions
    by_label = [np.stack([1 - column, column], axis=1) for column in y_prob.T]
    picked = np.stack([suspects(given, prob, rule) for given, prob in zip(y_given.T, by_label, strict=True)], axis=1)
    picked &= y_pred != y_given
    own = np.where(y_given == 1, y_prob, 1 - y_prob)
    least = np.where(picked, own, np.inf).argmin(axis=1)
    confidence = np.take_along_axis(own, least[:, None], axis=1)[:, 0]
    suggested = np.where(picked, y_pred, y_given)
    return _Suspects(np.asarray(picked.any(axis=1)), suggested, 1 - confidence, 2 * confidence - 1, confidence)
