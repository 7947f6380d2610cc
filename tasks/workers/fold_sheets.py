"""A fold run's sheets: the images that every backbone shows, right and wrong apart, one a class; and feature maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.evaluation.outputs import right
from tasks.explanation.contact_sheet import contact_sheet
from tasks.explanation.feature_maps import write_feature_maps
from tasks.explanation.fold_pictures import fold_sheet_rows, sheet_rows
from tasks.explanation.gallery import choose_images, unique_names
from tasks.explanation.map_files import StoredMaps
from tasks.explanation.methods import get
from tasks.explanation.sheet_choice import choose_by_class, choose_right, choose_wrong
from tasks.explanation.sheet_row import SheetRow
from tasks.explanation.sheets import class_sheet, right_sheet, wrong_sheet
from tasks.workers.decisions import Outcome
from tasks.workers.order import Material
from tasks.workers.workshop import Bench

FEW = 3
"""Images a fold of which large figures are drawn."""


def few_places(material: Material, rows: np.ndarray) -> np.ndarray:
    """Give the places of a few of a fold's explained images: of those on every backbone's sheet, where there are any.

    Parameters
    ----------
    material : Material
        Settings and images.
    rows : ndarray of shape (n,), int
        The explained images.

    Returns
    -------
    ndarray of shape (n_chosen,), int64
        At most `FEW`, ascending.
    """
    shared = np.flatnonzero(np.isin(rows, sheet_rows(material.manifest, material.experiment)))
    return (shared if len(shared) else np.arange(len(rows)))[:FEW]


@dataclass(frozen=True)
class FoldSheets:
    """What a fold's sheets are drawn from.

    Attributes
    ----------
    material, bench, outcome
        Settings and images, the fitted network, its predictions.
    fold : int
        The fold's number.
    rows : ndarray of shape (n,), int
        The explained images.
    y_pred : ndarray of shape (n_test, …)
        What was decided for all test images.
    stored : StoredMaps
        The first method's maps of the explained images.
    """

    material: Material
    bench: Bench
    outcome: Outcome
    fold: int
    rows: np.ndarray
    y_pred: np.ndarray
    stored: StoredMaps

    def write(self, folder: Path) -> None:
        """Write `contact_sheet.png`, `right.png`, `wrong.png` and `classes.png`, as far as there is what they show."""
        for name, sheet in (("contact_sheet", self._shared()), *self._by_outcome(), ("classes", self._by_class())):
            if sheet is not None:
                sheet.save(folder / f"{name}.png", compress_level=1)

    def write_feature_maps(self, folder: Path) -> None:
        """Write `feature_maps/<image>/<place>_<layer>.png` of a few images, where the settings name layers."""
        settings, manifest = self.material.experiment.explanation, self.material.manifest
        maps = self.bench.explainers.feature_maps
        if maps is None:
            return
        rows = self.rows[few_places(self.material, self.rows)]
        paths = manifest.table["path"].iloc[rows].tolist()
        write_feature_maps(
            folder / "feature_maps",
            maps,
            (self.bench.images[row] for row in rows),
            paths,
            names=unique_names(paths, ""),
            colormap=settings.colormap,
        )

    @property
    def _title(self) -> str:
        return f"{self.bench.built.spec.title} · fold {self.fold}"

    @property
    def _method(self) -> str:
        return get(self.stored.method).title

    @property
    def _colormap(self) -> str:
        return self.material.experiment.explanation.colormap

    def _rows(self, places: np.ndarray) -> list[SheetRow]:
        return fold_sheet_rows(
            self.material.manifest,
            self.material.experiment,
            self.outcome.test,
            self.y_pred,
            self.rows,
            self.stored,
            places,
            self.fold,
            self.bench.size,
        )

    def _shared(self) -> Image.Image:
        manifest, experiment = self.material.manifest, self.material.experiment
        most = experiment.explanation.contact_sheet_images
        places = choose_images(manifest.strata[self.rows], most, experiment.seed)
        columns = ("Original", self._method)
        return contact_sheet(self._rows(places), title=self._title, column_titles=columns, colormap=self._colormap)

    def _by_outcome(self) -> Iterator[tuple[str, Image.Image | None]]:
        y, test = self.material.manifest.y, self.outcome.test
        own = self.y_pred[test.places(self.rows)]
        good, all_good = right(y[self.rows], own), right(y[test.rows], self.y_pred)
        told = self.stored.classes if own.ndim == 2 else own
        sure = test.probabilities[test.places(self.rows), told]
        most = self.material.experiment.explanation.contact_sheet_images
        texts = np.array(self.material.manifest.targets.texts(y[self.rows]), dtype=object)
        n_right = int(all_good.sum())
        chosen = choose_right(good, sure, most, texts)
        yield (
            "right",
            right_sheet(
                self._rows(chosen),
                title=f"{self._title}: predicted right",
                n_right=n_right,
                n_images=len(test.rows),
                method_title=self._method,
                colormap=self._colormap,
            ),
        )
        yield (
            "wrong",
            wrong_sheet(
                self._rows(choose_wrong(good, sure, most)),
                title=f"{self._title}: predicted wrong",
                n_wrong=len(test.rows) - n_right,
                n_images=len(test.rows),
                method_title=self._method,
                colormap=self._colormap,
            ),
        )

    def _by_class(self) -> Image.Image | None:
        manifest = self.material.manifest
        chosen = choose_by_class(manifest.y[self.rows], len(manifest.classes))
        return class_sheet(
            {label: self._rows(places) for label, places in zip(manifest.classes, chosen, strict=True)},
            title=f"{self._title}: one image a class",
            column_titles=("Original", "Pre-processed", self._method),
            colormap=self._colormap,
        )
