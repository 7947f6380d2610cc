"""A fixed number of changed variants of each image, so that what is frozen need not see a new picture every epoch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Variants:
    """The variants of all images, of which training takes one an image and epoch.

    Attributes
    ----------
    seed : int
        Decides the changes: variant v of an image follows from (seed, v, row), the same in all folds.
    number : int
        Variants an image.
    kept : tuple of ndarray of shape (n_images, ...)
        The activations of every image, one array a variant; empty: variants are made from the images when needed.
    """

    seed: int
    number: int
    kept: tuple[np.ndarray, ...] = ()

    def turns(self, rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
        """Give the variant that each row takes in an epoch, from 0; all of them are taken in turn.

        Parameters
        ----------
        rows : ndarray of shape (n_rows,), int
            Row numbers; a row's variant does not depend on the others.
        seed : int
            Decides which variant a row begins with; not the seed of the changes.
        epoch : int
            From 0.
        """
        first = np.random.default_rng([seed, 0, 1]).integers(self.number, size=int(rows.max(initial=0)) + 1)
        turns: np.ndarray = (first[rows] + epoch) % self.number
        return turns

    def read(self, rows: np.ndarray, turns: np.ndarray) -> np.ndarray:
        """Give the kept activations of the rows, each in its variant, as float32 of shape (n_rows, ...)."""
        out = np.empty((len(rows), *self.kept[0].shape[1:]), np.float32)
        for turn in np.unique(turns):
            wanted = turns == turn
            out[wanted] = self.kept[turn][rows[wanted]]
        return out
