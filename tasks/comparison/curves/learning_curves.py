"""Learning curves of a backbone over its folds: mean and range at each epoch, and what they say of the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

ROLES = ("train", "val")


@dataclass(frozen=True, eq=False)
class LearningCurves:
    """A backbone's training over its folds.

    Attributes
    ----------
    backbone
        Which one.
    histories : tuple of DataFrame
        One a fold run: a row an epoch with the columns `epoch`, `train/loss`, `val/loss` and those of metrics.
    """

    backbone: str
    histories: tuple[pd.DataFrame, ...]

    def values(self, name: str) -> pd.DataFrame:
        """Give a column by epoch (rows, the index) and fold (columns); missing from where a fold had ended.

        Parameters
        ----------
        name : str
            Such as `val/loss`.
        """
        found = [own.set_index("epoch")[name] for own in self.histories if name in own]
        return pd.concat(found, axis=1, ignore_index=True).sort_index() if found else pd.DataFrame()

    def band(self, name: str) -> pd.DataFrame:
        """Give mean, least and largest value over the folds at each epoch.

        Returns
        -------
        DataFrame
            `epoch`, `n_folds` (those that were still training), `mean`, `low` and `high`, one row an epoch in which
            some fold has a value.
        """
        values = self.values(name)
        if values.empty:
            return pd.DataFrame(columns=["epoch", "n_folds", "mean", "low", "high"])
        there = values[values.notna().any(axis=1)]
        return pd.DataFrame(
            {
                "epoch": there.index.to_numpy(),
                "n_folds": there.notna().sum(axis=1).to_numpy(),
                "mean": there.mean(axis=1).to_numpy(),
                "low": there.min(axis=1).to_numpy(),
                "high": there.max(axis=1).to_numpy(),
            }
        )

    @property
    def n_epochs(self) -> list[int]:
        """How many epochs each fold was trained."""
        return [len(own) for own in self.histories]

    @property
    def best_epochs(self) -> list[int]:
        """The epoch of the least validation loss, numbered as in MLflow, of each fold that has one."""
        values = self.values("val/loss")
        epochs = values.index.to_numpy()
        return [int(epochs[np.nanargmin(own)]) for own in values.to_numpy().T if np.isfinite(own).any()]

    @property
    def n_still_improving(self) -> int:
        """In how many folds the least validation loss is that of the last epoch, of several."""
        values = self.values("val/loss")
        return sum(
            bool(np.isfinite(own).any() and len(own) > 1 and np.nanargmin(own) == len(own) - 1)
            for own in (values[fold].dropna().to_numpy() for fold in values)
        )


def band_table(curves: Sequence[LearningCurves], names: Sequence[str]) -> pd.DataFrame:
    """Give all bands in one table: `backbone`, `curve` (such as `val/loss`), and the columns of `band`."""
    found = [own.band(name).assign(backbone=own.backbone, curve=name) for own in curves for name in names]
    columns = ["backbone", "curve", "epoch", "n_folds", "mean", "low", "high"]
    filled = [table for table in found if len(table)]
    return pd.concat(filled, ignore_index=True)[columns] if filled else pd.DataFrame(columns=columns)
