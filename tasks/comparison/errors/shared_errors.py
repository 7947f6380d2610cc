"""Which images several backbones get wrong, and how many more than separate errors would give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.ensembling.ensembles import average_backbones
from tasks.comparison.pooling import predictions_of
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import right


@dataclass(frozen=True, eq=False)
class SharedErrors:
    """The errors of several backbones on the same images.

    Attributes
    ----------
    images : DataFrame
        One row an image that some backbone gets wrong, those that most get wrong first: `path`, `true`, `n_wrong` (how
        many backbones), `wrong_backbones` (their names, with commas), `taken_for` (the wrong answer that most of them
        give), `n_agree` (how many give it), `probability_true` (the mean over the backbones of how likely the true
        class is, 0 to 1; with several labels, the mean over the labels that all are as the truth has them).
    n_backbones, n_images
        What was compared.
    expected_all_wrong
        How many images all would get wrong if their errors had nothing to do with each other: the number of images
        times the product of the shares that each gets wrong.
    """

    images: pd.DataFrame
    n_backbones: int
    n_images: int
    expected_all_wrong: float

    @property
    def all_wrong(self) -> pd.DataFrame:
        """The images that every backbone gets wrong: the hardest ones, and those whose label may be wrong."""
        return self.images[self.images["n_wrong"] == self.n_backbones].reset_index(drop=True)


def shared_errors(tables: Mapping[str, pd.DataFrame], targets: Targets) -> SharedErrors:
    """Compare the errors of several backbones.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By backbone, its predictions for the same images of the same folds.
    targets
        The kind of labels and the classes. With several labels, an image is wrong unless all of them are right.

    Raises
    ------
    ValueError
        If there is no table, or they differ in columns, images, folds, pixels or true labels.
    """
    first = average_backbones(tables, targets)
    aligned = [table.sort_values("path", ignore_index=True) for table in tables.values()]
    predictions = [predictions_of(table, targets) for table in aligned]
    wrong = np.stack([~right(own.y_true, own.y_pred) for own in predictions], axis=1)
    answers = np.stack([table["predicted"].to_numpy(dtype=object) for table in aligned], axis=1)
    taken_for = [_commonest(row[bad]) for row, bad in zip(answers, wrong, strict=True)]
    names = np.array(list(tables), dtype=object)
    images = pd.DataFrame(
        {
            "path": first["path"],
            "true": first["true"],
            "n_wrong": wrong.sum(axis=1),
            "wrong_backbones": [", ".join(names[bad]) for bad in wrong],
            "taken_for": [answer for answer, _ in taken_for],
            "n_agree": [number for _, number in taken_for],
            "probability_true": np.mean([_of_truth(own.y_true, own.y_prob) for own in predictions], axis=0),
        }
    )
    order = images[images["n_wrong"] > 0].sort_values(
        ["n_wrong", "probability_true", "path"], ascending=[False, True, True], ignore_index=True
    )
    return SharedErrors(order, len(tables), len(first), float(len(first) * wrong.mean(axis=0).prod()))


def _commonest(answers: NDArray[np.object_]) -> tuple[str, int]:
    if not len(answers):
        return "", 0
    values, counts = np.unique(answers, return_counts=True)
    return str(values[counts.argmax()]), int(counts.max())


def _of_truth(y_true: NDArray[np.int64], y_prob: NDArray[np.float64]) -> NDArray[np.float64]:
    if y_true.ndim == 2:
        return np.asarray(np.where(y_true == 1, y_prob, 1 - y_prob).mean(axis=1))
    return np.asarray(np.take_along_axis(y_prob, y_true[:, None], axis=1)[:, 0])
