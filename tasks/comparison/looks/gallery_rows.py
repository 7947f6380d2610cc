"""The table of `explanations.html`: every explained image by every backbone and method, with its map when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.looking import Looks, heats_of, told_probabilities
from tasks.comparison.looks.opened import opened
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.wording import counted
from tasks.explanation.controls import CONTROLS
from tasks.explanation.faithfulness import OVERALL
from tasks.explanation.fold_pictures import explained_label, shown_labels
from tasks.explanation.gallery import choose_images
from tasks.explanation.gallery_page import MapOf, write_gallery_page
from tasks.explanation.methods import get
from tasks.workers.plan import Plan

MOST_IMAGES = 20_000
MOST_MAPS = 250_000
"""What a page of 40 MB can hold so that pictures and maps can be made out."""

DOUBTED = "doubtful (see report)"
"""What stands under a map of a method and backbone that did not pass a check."""

_CONTROL_TITLES = {"random": "random", "gaussian": "centred"}


def write_gallery(path: Path, plan: Plan, logged: Mapping[str, FoldExplanations], looks: Mapping[str, Looks]) -> bool:
    """Write the gallery page of an experiment; False where no fold run has logged maps.

    Parameters
    ----------
    path : Path
        The file.
    plan : Plan
        Images and settings.
    logged, looks : mapping of str
        By backbone, in the order of the page.
    """
    rows, n_explained = gallery_rows(plan, logged, looks)
    if rows.empty:
        return False
    settings = plan.experiment.explanation
    n_images = rows["image"].nunique()
    note = "Each image is explained by the one model of each backbone that never saw it."
    if n_images < n_explained:
        note += f" {n_images:,} of {counted(n_explained, 'explained image')} are shown, of each class its share."
    write_gallery_page(
        path,
        rows,
        lambda name: opened(plan, name),
        maps_of(rows, logged),
        title=f"{plan.experiment.name}: where each backbone looks",
        note=note,
        how=shaping_of(plan.experiment.data.preprocessing),
        colormap=settings.colormap,
        alpha=settings.alpha,
    )
    return True


def gallery_rows(
    plan: Plan, logged: Mapping[str, FoldExplanations], looks: Mapping[str, Looks]
) -> tuple[pd.DataFrame, int]:
    """Give the page's table, and how many images are explained; where they are too many, a share of each class stays.

    The images are in the order of the folds, so that the maps of one fold are asked for together. Beside the columns
    of `write_gallery_page` there are `name` (of the method) and `place` (of the map in the fold run's file).
    """
    methods = [str(name) for name in plan.experiment.explanation.methods]
    parts = [
        _rows(plan, backbone, own, looks.get(backbone, Looks()), fold, method)
        for backbone, own in logged.items()
        for fold in own.runs
        for method in methods
    ]
    filled = [part for part in parts if len(part)]
    if not filled:
        return pd.DataFrame(), 0
    rows = pd.concat(filled, ignore_index=True)
    table = plan.manifest.table
    number = pd.Series(np.arange(len(table)), index=table["path"])
    shown = np.sort(number[rows["image"].unique()].to_numpy())
    limit = min(MOST_IMAGES, max(1, MOST_MAPS // (len(logged) * len(methods))))
    kept = shown[choose_images(plan.manifest.strata[shown], limit, plan.experiment.seed)]
    in_order = kept[np.argsort(plan.fold_of_row[kept], kind="stable")]
    turn = pd.Series(np.arange(len(in_order)), index=table["path"].iloc[in_order])
    rows = rows.assign(turn=rows["image"].map(turn)).dropna(subset="turn")
    return rows.sort_values("turn", kind="stable", ignore_index=True).drop(columns="turn"), len(shown)


def maps_of(rows: pd.DataFrame, logged: Mapping[str, FoldExplanations]) -> MapOf:
    """Give what reads the map of a row; the files of as many backbones and methods as there are stay in memory."""
    n_files = rows[["backbone", "name"]].drop_duplicates().shape[0]
    keys = list(zip(rows["backbone"], rows["fold"], rows["name"], rows["place"], strict=True))

    @lru_cache(maxsize=n_files)
    def heats(backbone: str, fold: int, method: str) -> np.ndarray:
        stored = logged[backbone].first_maps(fold, method)
        return np.zeros((0, 1, 1), np.float32) if stored is None else heats_of(stored).astype(np.float16)

    def heat(row: int) -> np.ndarray:
        backbone, fold, method, place = keys[row]
        found: np.ndarray = heats(backbone, int(fold), method)[place].astype(np.float32)
        return found

    return heat


def _rows(plan: Plan, backbone: str, own: FoldExplanations, looks: Looks, fold: int, method: str) -> pd.DataFrame:
    stored = own.first_maps(fold, method)
    if stored is None:
        return pd.DataFrame()
    targets, target = plan.manifest.targets, plan.experiment.explanation.target
    told = own.predictions.loc[stored.paths]
    labels = [explained_label(targets, int(number), target) for number in stored.classes]
    measured = _measured(looks, fold, method)
    doubted = method in looks.verdicts and looks.verdicts[method].doubted
    table = {
        "image": stored.paths,
        "backbone": backbone,
        "fold": fold,
        "method": method_title(method),
        "name": method,
        "place": np.arange(len(stored.paths)),
        "true": [shown_labels(targets, text) for text in told["true"]],
        "predicted": [shown_labels(targets, text) for text in told["predicted"]],
        "probability": told_probabilities(targets, told, stored.classes),
        "right": (told["true"] == told["predicted"]).to_numpy(),
        "note": [
            "; ".join(text for text in (label and f"for {label}", doubted and DOUBTED, measured.get(path)) if text)
            or None
            for label, path in zip(labels, stored.paths.tolist(), strict=True)
        ],
    }
    return pd.DataFrame(table)


def method_title(name: str) -> str:
    """Give a method's title, and that it fails sanity checks by construction where it does."""
    method = get(name)
    return f"{method.title} (fails sanity checks)" if method.fails_sanity_checks else method.title


def _measured(looks: Looks, fold: int, method: str) -> dict[str, str]:
    """Give, by image, what its faithfulness is measured to be beside its controls."""
    if looks.truth is None:
        return {}
    truth = looks.truth
    own = truth[(truth["fold"] == fold) & (truth["method"] == method) & truth[OVERALL].notna()]
    columns = [OVERALL, *(f"{OVERALL}_{control}" for control in CONTROLS)]
    told = {}
    for path, value, *controls in own[["path", *columns]].itertuples(index=False):
        beside = (
            f"{_CONTROL_TITLES.get(name, name)} {found:z.2f}" for name, found in zip(CONTROLS, controls, strict=True)
        )
        told[str(path)] = f"faithfulness {value:z.2f} ({', '.join(beside)})"
    return told
