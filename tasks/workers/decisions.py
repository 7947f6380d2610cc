"""A fold run's decisions: from its probabilities and, with several labels an image, its thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.config import Kind
from tasks.evaluation.metrics import metric_key
from tasks.evaluation.outputs import decide
from tasks.evaluation.thresholds import given_thresholds, tuned_thresholds
from tasks.explanation.predictions import Predicted
from tasks.workers.order import Material


@dataclass(frozen=True)
class Outcome:
    """What a fitted network gives for images that it has not learnt from.

    Attributes
    ----------
    kind : {"multiclass", "multilabel", "ordinal"}
        The kind of labels.
    test, holdout, validation : Predicted
        The fold's test images, the holdout's, and those by which training was stopped.
    thresholds : ndarray of shape (n_classes,), or None
        From which probability on an image has a label; None: it has one class or grade.
    """

    kind: Kind
    test: Predicted
    holdout: Predicted
    validation: Predicted
    thresholds: np.ndarray | None

    def decided(self, part: Predicted) -> np.ndarray:
        """Give the decisions for the rows of a part, in their order, as `outputs.decide` does."""
        return decide(part.probabilities, self.kind, self.thresholds)

    def threshold_params(self, classes: tuple[str, ...]) -> dict[str, object]:
        """Give the thresholds for the log, as `threshold/<class>`."""
        found = [] if self.thresholds is None else zip(classes, self.thresholds.tolist(), strict=True)
        return {f"threshold/{metric_key(label)}": value for label, value in found}


def thresholds_of(material: Material, validation: Predicted) -> np.ndarray | None:
    """Give the thresholds of the labels: given, or the best for the fold's own validation images.

    Parameters
    ----------
    material : Material
        Settings and labels; of the labels only those of the validation rows are looked at.
    validation : Predicted
        The fitted network's predictions for the images by which training was stopped.

    Returns
    -------
    ndarray of shape (n_classes,), 0 to 1, or None
        None where an image has one class or grade.

    Raises
    ------
    InputError
        A threshold is given for a label that is not there, or none for one that is.
    """
    targets, setting = material.manifest.targets, material.experiment.evaluation.thresholds
    if targets.kind != "multilabel":
        return None
    if setting != "tuned":
        return given_thresholds(setting, targets.classes)
    return tuned_thresholds(material.manifest.y[validation.rows], validation.probabilities)
