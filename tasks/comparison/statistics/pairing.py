"""The predictions of several models for the same images, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.pooling import predictions_of
from tasks.dataset.targets import Targets
from tasks.dataset.wording import listed
from tasks.evaluation.checks import Predictions, checked_predictions

_SAME = {"sha256": "pixels", "true": "true label", "fold": "fold"}


@dataclass(frozen=True, eq=False)
class PairedPredictions:
    """What several models say of the same images.

    Attributes
    ----------
    models : mapping of str to Predictions
        By model; the images stand in the same order in all of them.
    groups : ndarray of shape (n_images,), int64, 0 to n_groups - 1
        The group of each image, such as a patient; an image without a group is one of its own.
    targets : Targets
        The kind of labels and the classes.
    """

    models: Mapping[str, Predictions]
    groups: NDArray[np.int64]
    targets: Targets

    @property
    def n_images(self) -> int:
        """The number of images."""
        return len(self.groups)

    @property
    def n_groups(self) -> int:
        """The number of groups."""
        return int(self.groups.max()) + 1


def pair_predictions(
    tables: Mapping[str, pd.DataFrame], targets: Targets, groups: pd.Series | None = None
) -> PairedPredictions:
    """Put the out-of-fold predictions of several models side by side.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By model, one row an image, as `pool_out_of_fold` gives it.
    targets : Targets
        The kind of labels and the classes.
    groups : Series of str or None, by path, or None
        What images belong together (None: the image is a group of its own); without it every image is.

    Raises
    ------
    ValueError
        If there is no table or no image, an image is missing or doubled in one of them or has no entry in `groups`,
        or two tables differ in an image's pixels, true label or fold.
    """
    if not tables:
        raise ValueError("There are no predictions to compare.")
    aligned = {name: _by_path(name, table) for name, table in tables.items()}
    names = list(aligned)
    first = aligned[names[0]]
    for name in names[1:]:
        _refuse_unlike(names[0], first, name, aligned[name])
    models = {}
    for name, table in aligned.items():
        found = predictions_of(table, targets)
        models[name] = checked_predictions(
            found.y_true, found.y_prob, len(targets.classes), targets.kind, y_pred=found.y_pred
        )
    return PairedPredictions(models, _group_numbers(first["path"], groups), targets)


def _by_path(name: str, table: pd.DataFrame) -> pd.DataFrame:
    if not len(table):
        raise ValueError(f"{name} has no predictions.")
    doubled = table.loc[table["path"].duplicated(), "path"]
    if len(doubled):
        raise ValueError(f"{name} predicts an image more than once: {listed(sorted(set(doubled)))}.")
    return table.sort_values("path", ignore_index=True)


def _refuse_unlike(one: str, first: pd.DataFrame, other: str, second: pd.DataFrame) -> None:
    for has, has_not, paths in (
        (one, other, set(first["path"]) - set(second["path"])),
        (other, one, set(second["path"]) - set(first["path"])),
    ):
        if paths:
            raise ValueError(
                f"{has_not} has no prediction for images that {has} has one for: {listed(sorted(paths))}. Models are "
                "compared on the same images only."
            )
    for column, noun in _SAME.items():
        unlike = (first[column] != second[column]).to_numpy()
        if unlike.any():
            paths_of = first["path"].to_numpy()[unlike].tolist()
            raise ValueError(
                f"{one} and {other} differ in the {noun} of {listed(paths_of)}. Models are compared on the same "
                "images of the same folds only."
            )


def _group_numbers(paths: pd.Series, groups: pd.Series | None) -> NDArray[np.int64]:
    if groups is None:
        return np.arange(len(paths))
    if missing := set(paths) - set(groups.index):
        raise ValueError(f"It is not known which group these images belong to: {listed(sorted(missing))}.")
    numbers, names = pd.factorize(groups.reindex(paths).to_numpy(dtype=object))
    alone = numbers < 0
    numbers = numbers.astype(np.int64)
    numbers[alone] = len(names) + np.arange(int(alone.sum()))
    return numbers
