"""What a backbone costs, and which backbones are worth it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEASURED = ("parameters", "gflops", "model_mb", "images_per_second_1", "images_per_second_32")
"""Figures of the network itself; the others come from the fold runs."""


@dataclass(frozen=True)
class Cost:
    """What a backbone costs.

    Attributes
    ----------
    figures : mapping of str to float
        Those that are known of: `parameters`; `gflops` of one image's forward pass; `model_mb` of its file;
        `images_per_second_1` and `images_per_second_32`, predicted in batches of that many, from pixels to
        probabilities; `train_seconds`, the mean of the fold runs; `peak_memory_mb`, the most that a worker held in any
        of them.
    machine, device : str
        What the speed was measured on: cores and their make; `CPU` or a GPU's name.
    """

    figures: Mapping[str, float]
    machine: str
    device: str

    @property
    def milliseconds(self) -> float | None:
        """Milliseconds an image in batches of 32."""
        speed = self.figures.get("images_per_second_32")
        return 1000 / speed if speed else None


def cost_of_folds(fold_metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Give `train_seconds` and `peak_memory_mb` from the metrics that fold runs have logged; each where it is known."""
    seconds = [own["seconds/train"] for own in fold_metrics if "seconds/train" in own]
    memory = [own["cost/peak_memory_mb"] for own in fold_metrics if "cost/peak_memory_mb" in own]
    found = {"train_seconds": sum(seconds) / len(seconds)} if seconds else {}
    return found | ({"peak_memory_mb": max(memory)} if memory else {})


def pareto_front(scores: Sequence[float], costs: Sequence[float], *, higher_is_better: bool) -> NDArray[np.bool_]:
    """Tell of each of several choices whether no other one dominates it.

    One choice dominates another if its score is no worse and its cost no higher, and one of the two is strictly better
    (Ehrgott, 2005, "Multicriteria Optimization", definition 2.1).

    Parameters
    ----------
    scores, costs : sequences of float, of one length
        Finite numbers; lower costs are better.
    higher_is_better : bool
        Whether higher scores are.

    Returns
    -------
    ndarray of shape (n,), bool
        In the order given.
    """
    worth = np.asarray(scores, dtype=float) * (1 if higher_is_better else -1)
    price = np.asarray(costs, dtype=float)
    no_worse = (worth[:, None] >= worth) & (price[:, None] <= price)
    better = (worth[:, None] > worth) | (price[:, None] < price)
    return np.logical_not((no_worse & better).any(axis=0))
