"""One backbone's out-of-fold predictions as rows of contact sheets, each picture opened when it is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import pandas as pd
from PIL import Image

from tasks.backbones.registry import get
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.looking import heats_of, told_probabilities
from tasks.comparison.looks.opened import opened
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import masked, shape
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import explained_class
from tasks.evaluation.tables import PROBABILITY, THRESHOLD
from tasks.explanation.fold_pictures import explained_label, overlay_names, shown_labels
from tasks.explanation.maps import remark
from tasks.explanation.sheet_row import SheetRow
from tasks.workers.plan import Plan


class ShownRows:
    """A backbone's explained images, by the first of the methods.

    Of an image that is predicted by several repeats of the folds, the first repeat's prediction is shown, with its map.

    Parameters
    ----------
    plan : Plan
        Images and settings.
    backbone : str
        Its registry name.
    logged : FoldExplanations
        What its fold runs have logged.
    """

    def __init__(self, plan: Plan, backbone: str, logged: FoldExplanations) -> None:
        self._plan, self._backbone, self._logged = plan, backbone, logged
        self.method = str(plan.experiment.explanation.methods[0])

    @cached_property
    def explained(self) -> pd.Series:
        """The class that each explained image's map is for, by path in the manifest's order."""
        return self._maps["class"]

    @cached_property
    def told(self) -> pd.DataFrame:
        """The explained images' predictions by path, with `right`, and `probability` of what is told of them."""
        told, targets = self._logged.predictions.loc[self.explained.index], self._plan.manifest.targets
        sure = told_probabilities(targets, told, self.explained.to_numpy())
        return told.assign(right=told["true"] == told["predicted"], probability=sure)

    @property
    def predictions(self) -> pd.DataFrame:
        """All images' predictions, explained or not, by path."""
        return self._logged.predictions

    def rows(self, paths: Iterable[str], *, seen: bool = False) -> list[SheetRow | None]:
        """Give the rows of these images; None for one without a prediction or an overlay.

        Parameters
        ----------
        paths
            The images.
        seen
            Whether the square that the network takes is shown too.
        """
        return [self._row(path, seen) if path in self.predictions.index else None for path in paths]

    def _row(self, path: str, seen: bool) -> SheetRow | None:
        plan, found = self._plan, self.predictions.loc[[path]].iloc[0]
        targets = plan.manifest.targets
        how, target = shaping_of(plan.experiment.data.preprocessing), plan.experiment.explanation.target
        fold, side = int(found["fold"]), "right" if found["true"] == found["predicted"] else "wrong"
        overlay = self._logged.overlay(fold, f"{self.method}/{side}/{self._names[path]}")
        if overlay is None:
            return None
        number = int(self.explained.get(path, _explained_class(targets, found)))
        image = opened(plan, path)
        with Image.open(overlay) as picture:
            drawn = np.asarray(picture.convert("RGB"))
        return SheetRow(
            image=masked(image, how),
            overlay=drawn,
            name=path,
            true=shown_labels(targets, found["true"]),
            predicted=shown_labels(targets, found["predicted"]),
            probability=float(found[PROBABILITY + targets.classes[number]]),
            fold=fold,
            explained=explained_label(targets, number, target),
            seen=shape(image, self._size, how) if seen else None,
            remark=self._maps["remark"].get(path, ""),
        )

    @cached_property
    def _maps(self) -> pd.DataFrame:
        """By path in the manifest's order, the `class` that each map is for, and the `remark` that it needs."""
        parts = [pd.DataFrame({"class": np.zeros(0, np.int64), "remark": np.zeros(0, object)})]
        for fold in self._logged.runs:
            stored = self._logged.first_maps(fold, self.method)
            if stored is not None:
                told = {"class": stored.classes, "remark": [remark(heat) for heat in heats_of(stored)]}
                parts.append(pd.DataFrame(told, index=stored.paths))
        found = pd.concat(parts[1:]) if len(parts) > 1 else parts[0]
        return found.reindex([path for path in self._plan.manifest.table["path"] if path in found.index])

    @cached_property
    def _names(self) -> dict[str, str]:
        manifest = self._plan.manifest
        names = overlay_names(manifest, self._plan.experiment)
        return dict(zip(manifest.table["path"].tolist(), names, strict=True))

    @cached_property
    def _size(self) -> int:
        return self._plan.experiment.model_of(self._backbone).size or get(self._backbone).native_size


def _explained_class(targets: Targets, found: pd.Series) -> int:
    """Give the class that an older version's map is for, which logged no list of them."""
    if targets.kind != "multilabel":
        return targets.classes.index(found["predicted"])
    probabilities, thresholds = (
        found[[prefix + label for label in targets.classes]].to_numpy(dtype=np.float64)
        for prefix in (PROBABILITY, THRESHOLD)
    )
    return int(explained_class(probabilities[None], targets.kind, thresholds)[0])
