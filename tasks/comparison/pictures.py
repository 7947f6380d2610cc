"""Contact sheets of one backbone over all its folds, and of all backbones side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.comparison.backbone import Fetch
from tasks.comparison.pooling import PROBABILITY
from tasks.comparison.results import BackboneResult
from tasks.dataset.addresses import open_image
from tasks.explanation.contact_sheet import SheetRow, comparison_sheet, contact_sheet
from tasks.explanation.fold_pictures import overlay_names, sheet_rows
from tasks.workers.plan import Plan


def chosen_rows(plan: Plan, result: BackboneResult, fetch: Fetch) -> list[SheetRow | None]:
    """Give the contact sheet's rows for a backbone, from its out-of-fold overlays; None where there is none yet."""
    if not len(result.out_of_fold):
        return [None] * len(sheet_rows(plan.manifest, plan.experiment))
    names = overlay_names(plan.manifest, plan.experiment)
    runs = {fold.fold: fold.run_id for fold in result.finished}
    predictions = result.out_of_fold.set_index("path")
    rows: list[SheetRow | None] = []
    for row in sheet_rows(plan.manifest, plan.experiment):
        path = plan.manifest.table["path"].iloc[row]
        if path not in predictions.index:
            rows.append(None)
            continue
        found = predictions.loc[path]
        fold = int(found["fold"])
        side = "right" if found["true"] == found["predicted"] else "wrong"
        overlay = fetch(runs[fold] or "", f"explanations/gradcam/{side}/{names[row]}")
        rows.append(
            SheetRow(
                image=open_image(plan.manifest.root, path),
                overlay=np.asarray(Image.open(overlay).convert("RGB")),
                name=path,
                true=found["true"],
                predicted=found["predicted"],
                probability=float(found[PROBABILITY + found["predicted"]]),
                fold=fold,
            )
        )
    return rows


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
    columns = {name: chosen_rows(plan, results[name], fetch) for name in ranking if len(results[name].out_of_fold)}
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
        note="Grad-CAM of the predicted class, by the one model of each backbone that never saw the image",
        colormap=plan.experiment.explanation.colormap,
    ).save(path)
    return True
