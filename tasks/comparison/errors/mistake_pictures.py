"""A backbone's surest mistakes as a table with pictures, for MLflow's page of evaluation tables."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from tasks.comparison.backbone import Fetch
from tasks.comparison.errors.mistakes import confident_mistakes
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.opened import opened
from tasks.comparison.looks.shown_rows import ShownRows
from tasks.comparison.results import BackboneResult
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import masked
from tasks.explanation.methods import get
from tasks.explanation.sheet_row import SheetRow
from tasks.tracking.records import PictureTable
from tasks.workers.plan import Plan

NAME = "mistakes"
MOST = 24
"""How many mistakes a table has; each costs up to four small files."""
SIDE = 160

NOT_EXPLAINED = "not explained"


def mistakes_table(plan: Plan, result: BackboneResult, fetch: Fetch) -> PictureTable | None:
    """Give the mistakes that a backbone was surest of, each by the one model that never saw the image; None without.

    Where the images are cut into folds several times, an image counts by the first repeat.

    Parameters
    ----------
    plan : Plan
        Images and settings.
    result : BackboneResult
        The backbone's fold runs.
    fetch : callable
        Gives the local path of a run's artifact.
    """
    if not result.finished:
        return None
    shown = ShownRows(plan, result.name, FoldExplanations.of(result, fetch))
    wrong = confident_mistakes(shown.predictions.reset_index(), plan.manifest.targets).head(MOST)
    if wrong.empty:
        return None
    rows = shown.rows(wrong["path"])
    return PictureTable(
        NAME,
        {
            "image": wrong["path"].tolist(),
            "picture": [
                _picture(_photograph(plan, path) if row is None else row.image)
                for path, row in zip(wrong["path"], rows, strict=True)
            ],
            get(shown.method).title: [_overlay(row) for row in rows],
            "predicted": wrong["predicted"].tolist(),
            "true": wrong["true"].tolist(),
            "confidence in %": (100 * wrong["confidence"]).round(1).tolist(),
            "fold": wrong["fold"].tolist(),
        },
    )


def _overlay(row: SheetRow | None) -> Image.Image | str:
    return NOT_EXPLAINED if row is None or row.overlay is None else _picture(row.overlay)


def _photograph(plan: Plan, path: str) -> np.ndarray:
    return masked(opened(plan, path), shaping_of(plan.experiment.data.preprocessing))


def _picture(pixels: np.ndarray) -> Image.Image:
    return ImageOps.contain(Image.fromarray(pixels), (SIDE, SIDE))
