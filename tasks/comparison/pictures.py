"""Contact sheets of one backbone over all its folds, and of all backbones side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from tasks.comparison.backbone import Fetch
from tasks.comparison.results import BackboneResult
from tasks.dataset.pixels.addresses import open_image
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import masked
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import explained_class
from tasks.evaluation.tables import PROBABILITY, THRESHOLD
from tasks.explanation.contact_sheet import SheetRow, comparison_sheet, contact_sheet
from tasks.explanation.fold_pictures import explained_label, overlay_names, sheet_rows, shown_labels
from tasks.workers.plan import Plan

_EXPLAINED = {
    "multiclass": "the predicted class",
    "ordinal": "the predicted grade",
    "multilabel": "the label named below",
}
"""What the maps are for, by kind of labels."""


def chosen_rows(plan: Plan, result: BackboneResult, fetch: Fetch) -> list[SheetRow | None]:
    """Give the contact sheet's rows for a backbone, from its out-of-fold overlays; None where there is none yet.

    Of an image that is predicted by several repeats of the folds, the first repeat's prediction is shown, with its map.
    """
    manifest, how = plan.manifest, shaping_of(plan.experiment.data.preprocessing)
    shown = sheet_rows(manifest, plan.experiment)
    if not result.finished:
        return [None] * len(shown)
    names = overlay_names(manifest, plan.experiment)
    runs = {fold.fold: fold.run_id or "" for fold in result.finished}
    predictions = _first_predictions(runs, fetch)
    rows: list[SheetRow | None] = []
    for row in shown:
        path = manifest.table["path"].iloc[row]
        if path not in predictions.index:
            rows.append(None)
            continue
        found = predictions.loc[path]
        fold, number = int(found["fold"]), _explained_class(manifest.targets, found)
        side = "right" if found["true"] == found["predicted"] else "wrong"
        overlay = fetch(runs[fold], f"explanations/gradcam/{side}/{names[row]}")
        rows.append(
            SheetRow(
                image=masked(open_image(manifest.root, path, manifest.ground), how),
                overlay=np.asarray(Image.open(overlay).convert("RGB")),
                name=path,
                true=shown_labels(manifest.targets, found["true"]),
                predicted=shown_labels(manifest.targets, found["predicted"]),
                probability=float(found[PROBABILITY + manifest.classes[number]]),
                fold=fold,
                explained=explained_label(manifest.targets, number),
            )
        )
    return rows


def _first_predictions(runs: Mapping[int, str], fetch: Fetch) -> pd.DataFrame:
    """Give each image's prediction by the first fold run that has one, by path."""
    tables = [pd.read_parquet(fetch(run_id, "predictions.parquet")) for _, run_id in sorted(runs.items())]
    return pd.concat(tables, ignore_index=True).drop_duplicates("path").set_index("path")


def _explained_class(targets: Targets, found: pd.Series) -> int:
    """Give the number of the class that a prediction's map is for, as the fold run chose it."""
    if targets.kind != "multilabel":
        return targets.classes.index(found["predicted"])
    probabilities, thresholds = (
        found[[prefix + label for label in targets.classes]].to_numpy(dtype=np.float64)
        for prefix in (PROBABILITY, THRESHOLD)
    )
    return int(explained_class(probabilities[None], targets.kind, thresholds)[0])


def write_backbone_sheet(plan: Plan, result: BackboneResult, title: str, fetch: Fetch, path: Path) -> bool:
    """Write a backbone's contact sheet; False where nothing was explained."""
    if plan.experiment.explanation.max_images == 0:
        return False
    rows = [row for row in chosen_rows(plan, result, fetch) if row is not None]
    if not rows:
        return False
    note = "each image explained by the one model that never saw it"
    contact_sheet(rows, title=title, note=note, colormap=plan.experiment.explanation.colormap).save(path)
    return True


def write_comparison_sheet(
    plan: Plan, results: Mapping[str, BackboneResult], ranking: Sequence[str], fetch: Fetch, path: Path
) -> bool:
    """Write the sheet that shows the same images for every backbone, best backbone first; False without pictures."""
    if plan.experiment.explanation.max_images == 0:
        return False
    kind = plan.manifest.targets.kind
    columns = {name: chosen_rows(plan, results[name], fetch) for name in ranking if results[name].finished}
    shown = [
        place
        for place in range(len(sheet_rows(plan.manifest, plan.experiment)))
        if any(rows[place] is not None for rows in columns.values())
    ]
    if not shown:
        return False
    originals = [next(row.image for rows in columns.values() if (row := rows[place]) is not None) for place in shown]
    comparison_sheet(
        originals,
        {name: [rows[place] for place in shown] for name, rows in columns.items()},
        title=f"{plan.experiment.name}: where each backbone looks",
        note=f"Grad-CAM of {_EXPLAINED[kind]}, by the one model of each backbone that never saw the image",
        colormap=plan.experiment.explanation.colormap,
    ).save(path)
    return True
