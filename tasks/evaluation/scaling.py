"""Probabilities made to mean what they say: a temperature, or a weight and a bias a class, applied to logits.

`scaling_fit` finds the numbers. What is computed with them is `outputs.scaled`, which travels with saved models: a
model that keeps weights and biases as plain numbers needs nothing of this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.outputs import scaled

Method = Literal["temperature", "vector"]
"""One factor for all (for each label, where an image can have several), or a weight and a bias for each class."""


@dataclass(frozen=True)
class Scaling:
    """A change of logits `z` to `weights * z + biases` before the activation.

    Attributes
    ----------
    kind : {"multiclass", "multilabel", "ordinal"}
        The kind of labels.
    method : {"temperature", "vector"}
        Temperature scaling (Guo et al., 2017, section 4.2), whose weights are one over the temperature and whose biases
        are 0; or vector scaling (same section): of log probabilities for classes, as the diagonal form of Kull et al.
        (2019) has it, and Platt's (1999) for each label, or grade reached.
    weights : tuple of float, length n_classes
        Above 0. For grades the first is without effect, as is its bias: every image reaches the lowest grade.
    biases : tuple of float, length n_classes
        In units of the logit.
    """

    kind: str
    method: Method
    weights: tuple[float, ...]
    biases: tuple[float, ...]

    @property
    def temperatures(self) -> tuple[float, ...]:
        """One over each weight; above 1 where the model was too sure of itself."""
        return tuple(1 / weight for weight in self.weights)

    def apply(self, y_prob: NDArray[Any]) -> NDArray[np.float64]:
        """Return scaled probabilities (`outputs.scaled`).

        Parameters
        ----------
        y_prob : ndarray of shape (n_images, n_classes), 0 to 1
            Probabilities as `outputs.class_probabilities` gives them; rows sum to 1 but for `multilabel`.

        Returns
        -------
        ndarray of the same shape, 0 to 1
            The same kind of probabilities. A temperature changes neither the likeliest class nor the grade decided
            for; with several labels neither method changes the order of images by a label's probability.

        Raises
        ------
        ValueError
            If there is not one column for each weight.
        """
        return scaled(y_prob, self.kind, self.weights, self.biases)

    def apply_to_thresholds(self, thresholds: NDArray[Any]) -> NDArray[np.float64]:
        """Return the labels' thresholds, of shape (n_classes,), that decide on scaled probabilities as these before.

        Raises
        ------
        ValueError
            If the kind has no thresholds, or there is not one for each label.
        """
        if self.kind != "multilabel":
            raise ValueError(f"labels that are {self.kind} are decided without thresholds")
        return np.asarray(self.apply(np.asarray(thresholds, dtype=np.float64)[None, :])[0])
