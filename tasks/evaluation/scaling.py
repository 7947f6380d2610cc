"""Probabilities made to mean what they say: a temperature, or a weight and a bias a class, applied to logits.

Needs NumPy and `outputs` alone, so that it can travel with a saved model. `scaling_fit` finds the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.evaluation.outputs import ACTIVATIONS, activated, class_probabilities

Method = Literal["temperature", "vector"]
"""One factor for all (for each label, where an image can have several), or a weight and a bias for each class."""

_LEAST = {"softmax": float(np.finfo(np.float32).tiny), "sigmoid": 2.0**-24}
"""Probabilities below count as this: what float32 tells from 0 and, for a sigmoid, from 1."""


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
        """Return scaled probabilities.

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
        if np.shape(y_prob)[1:] != (len(self.weights),):
            raise ValueError(f"expected {len(self.weights)} columns, got an array of shape {np.shape(y_prob)}")
        scaled = logits_of(y_prob, self.kind) * self.weights + self.biases
        return class_probabilities(activated(scaled, self.kind), self.kind)

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


def logits_of(y_prob: NDArray[Any], kind: str) -> NDArray[np.float64]:
    """Return logits whose probabilities these are, of shape (n_images, n_classes), finite.

    Parameters
    ----------
    y_prob : ndarray of shape (n_images, n_classes), 0 to 1
        Probabilities as `outputs.class_probabilities` gives them.
    kind
        The kind of labels. Classes have their log probability, which for a temperature is as good as the network's
        logit: it differs by the same number for all classes of an image. Labels have their log odds, and grades the log
        odds of being reached; that of the lowest one, which always is, is the largest number that occurs.
    """
    y_prob = np.asarray(y_prob, dtype=np.float64)
    least = _LEAST[ACTIVATIONS[kind]]
    if kind == "multiclass":
        return np.asarray(np.log(np.maximum(y_prob, least)))
    if kind == "ordinal":
        y_prob = np.cumsum(y_prob[:, ::-1], axis=1)[:, ::-1]
    inside = np.clip(y_prob, least, 1 - least)
    return np.asarray(np.log(inside) - np.log1p(-inside))
