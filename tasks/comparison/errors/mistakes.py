"""The mistakes of one backbone, the most confident ones first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tasks.comparison.pooling import predictions_of
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import right

COLUMNS = ("path", "fold", "true", "predicted", "label", "probability", "confidence")
"""The columns of the table of mistakes."""


def confident_mistakes(table: pd.DataFrame, targets: Targets) -> pd.DataFrame:
    """Give the images that are predicted wrong, those first of which the wrong answer is surest.

    Parameters
    ----------
    table : DataFrame
        Out-of-fold predictions, as `pooling.pool_out_of_fold` gives them.
    targets : Targets
        The kind of labels and the classes. With several labels an image is wrong unless all of them are right.

    Returns
    -------
    DataFrame
        One row a mistake: `path`, `fold`, `true` and `predicted` (as the data writes them), `label` (the class that is
        wrongly predicted; with several labels the one whose wrong answer is surest), its `probability`, and
        `confidence`, the probability of the wrong answer: with several labels that a label is not there, where that was
        decided. Equals are sorted by path.
    """
    y_true, y_prob, y_pred = predictions_of(table, targets)
    wrong = np.flatnonzero(~right(y_true, y_pred))
    if targets.kind == "multilabel":
        answer = np.where(y_pred == 1, y_prob, 1 - y_prob)[wrong]
        number = np.where((y_true != y_pred)[wrong], answer, -np.inf).argmax(axis=1)
    else:
        answer, number = y_prob[wrong], y_pred[wrong]
    probability, confidence = (
        np.take_along_axis(values, number[:, None], axis=1)[:, 0] for values in (y_prob[wrong], answer)
    )
    found = table.iloc[wrong][["path", "fold", "true", "predicted"]].assign(
        label=[targets.classes[own] for own in number], probability=probability, confidence=confidence
    )
    return found[list(COLUMNS)].sort_values(["confidence", "path"], ascending=[False, True], ignore_index=True)
