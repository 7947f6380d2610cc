"""Sheets of one backbone over all its folds, and of all backbones side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.comparison.backbone import Fetch
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.shown_rows import ShownRows
from tasks.comparison.results import BackboneResult
from tasks.explanation.contact_sheet import comparison_sheet, contact_sheet
from tasks.explanation.fold_pictures import sheet_rows
from tasks.explanation.mean_maps import MeanMaps, mean_map_figure
from tasks.explanation.methods import get
from tasks.explanation.sheet_choice import choose_by_class, choose_right, choose_shared_mistakes, choose_wrong
from tasks.explanation.sheet_row import SheetRow
from tasks.explanation.sheets import class_sheet, right_sheet, shared_mistakes_sheet, wrong_sheet
from tasks.workers.plan import Plan

_EXPLAINED = {
    "multiclass": "the predicted class",
    "ordinal": "the predicted grade",
    "multilabel": "the label named below",
}
"""What the maps are for, by kind of labels."""

_NOTE = "each image explained by the one model that never saw it"


def chosen_rows(plan: Plan, result: BackboneResult, fetch: Fetch) -> list[SheetRow | None]:
    """Give the contact sheet's rows for a backbone, from its out-of-fold overlays; None where there is none yet."""
    shown = plan.manifest.table["path"].iloc[sheet_rows(plan.manifest, plan.experiment)]
    if not result.finished:
        return [None] * len(shown)
    return ShownRows(plan, result.name, FoldExplanations.of(result, fetch)).rows(shown)


def write_backbone_sheets(
    plan: Plan, result: BackboneResult, title: str, means: Mapping[str, MeanMaps], fetch: Fetch, folder: Path
) -> list[Path]:
    """Write a backbone's sheets, as far as there is what they show, and give the files.

    They are `contact_sheet.png`, `right.png`, `wrong.png`, `classes.png` and `mean_maps.png`.

    Parameters
    ----------
    plan : Plan
        Images and settings.
    result : BackboneResult
        The backbone's fold runs.
    title : str
        The backbone's.
    means : mapping of str to MeanMaps
        Its mean maps by method.
    fetch : callable
        Gives the local path of a run's artifact.
    folder : Path
        Where to.
    """
    if plan.experiment.explanation.max_images == 0 or not result.finished:
        return []
    files = []
    for name, sheet in _backbone_sheets(plan, result, title, means, fetch):
        if sheet is not None:
            sheet.save(folder / name)
            files.append(folder / name)
    return files


def write_comparison_sheet(
    plan: Plan, results: Mapping[str, BackboneResult], ranking: Sequence[str], fetch: Fetch, path: Path
) -> bool:
    """Write the sheet that shows the same images for every backbone, best backbone first; False without pictures."""
    settings = plan.experiment.explanation
    if settings.max_images == 0:
        return False
    columns = {name: chosen_rows(plan, results[name], fetch) for name in ranking if results[name].finished}
    shown = [
        place
        for place in range(len(sheet_rows(plan.manifest, plan.experiment)))
        if any(rows[place] is not None for rows in columns.values())
    ]
    if not shown:
        return False
    originals = [next(row.image for rows in columns.values() if (row := rows[place]) is not None) for place in shown]
    own = "the class named below" if settings.target == "true" else _EXPLAINED[plan.manifest.targets.kind]
    comparison_sheet(
        originals,
        {name: [rows[place] for place in shown] for name, rows in columns.items()},
        title=f"{plan.experiment.name}: where each backbone looks",
        note=f"{get(settings.methods[0]).title} of {own}, by models that never saw the image",
        colormap=settings.colormap,
    ).save(path)
    return True


def write_shared_mistakes(
    plan: Plan, results: Mapping[str, BackboneResult], ranking: Sequence[str], fetch: Fetch, path: Path
) -> bool:
    """Write the sheet of the images that most backbones get wrong; False with one backbone, or without such images."""
    settings, table = plan.experiment.explanation, plan.manifest.table
    shown = {name: ShownRows(plan, name, FoldExplanations.of(results[name], fetch)) for name in ranking}
    told = {name: own.told for name, own in shown.items() if len(own.explained)} if settings.max_images != 0 else {}
    if len(told) < 2:
        return False
    paths = np.array([path for path in table["path"] if any(path in own.index for own in told.values())])
    right = np.column_stack([own["right"].reindex(paths, fill_value=False) for own in told.values()])
    sure = np.column_stack([own["probability"].reindex(paths) for own in told.values()])
    every = choose_shared_mistakes(right, sure)
    chosen = paths[every[: settings.contact_sheet_images]]
    columns = {
        name: shown[name].rows([path if path in own.index else "" for path in chosen]) for name, own in told.items()
    }
    there = [place for place in range(len(chosen)) if any(rows[place] is not None for rows in columns.values())]
    originals = [next(row.image for rows in columns.values() if (row := rows[place]) is not None) for place in there]
    sheet = shared_mistakes_sheet(
        originals,
        {name: [rows[place] for place in there] for name, rows in columns.items()},
        title=f"{plan.experiment.name}: what most backbones get wrong",
        n_shared=len(every),
        n_images=len(paths),
        colormap=settings.colormap,
    )
    if sheet is not None:
        sheet.save(path)
    return sheet is not None


def write_mean_maps(plan: Plan, means: Mapping[str, MeanMaps], path: Path) -> bool:
    """Write the mean maps of all backbones, in their order, by the first method; False where there are none."""
    if not means:
        return False
    settings = plan.experiment.explanation
    title = f"{plan.experiment.name}: {get(settings.methods[0]).title} on average"
    mean_map_figure(means, plan.manifest.classes, title=title, colormap=settings.colormap).save(path)
    return True


def _backbone_sheets(
    plan: Plan, result: BackboneResult, title: str, means: Mapping[str, MeanMaps], fetch: Fetch
) -> Iterator[tuple[str, Image.Image | None]]:
    settings, shown = plan.experiment.explanation, ShownRows(plan, result.name, FoldExplanations.of(result, fetch))
    colormap, method = settings.colormap, get(settings.methods[0]).title
    same = plan.manifest.table["path"].iloc[sheet_rows(plan.manifest, plan.experiment)]
    if rows := _there(shown.rows(same)):
        columns = ("Original", method)
        yield (
            "contact_sheet.png",
            contact_sheet(rows, title=title, note=_NOTE, column_titles=columns, colormap=colormap),
        )
    yield from _outcome_sheets(shown, title, method, settings.contact_sheet_images, colormap)
    yield "classes.png", _class_sheet(plan, shown, title, method)
    if means:
        by_title = {get(name).title: found for name, found in means.items()}
        mean = f"{title}: maps on average"
        yield (
            "mean_maps.png",
            mean_map_figure(by_title, plan.manifest.classes, title=mean, one_scale=len(means) == 1, colormap=colormap),
        )


def _outcome_sheets(
    shown: ShownRows, title: str, method: str, most: int, colormap: str
) -> Iterator[tuple[str, Image.Image | None]]:
    told, known = shown.told, shown.predictions
    good, sure = told["right"].to_numpy(dtype=bool), told["probability"].to_numpy(dtype=np.float64)
    paths, n_right = told.index.to_numpy(), int((known["true"] == known["predicted"]).sum())
    rows = _there(shown.rows(paths[choose_right(good, sure, most, told["true"].to_numpy())]))
    sheet = right_sheet(
        rows,
        title=f"{title}: predicted right",
        n_right=n_right,
        n_images=len(known),
        method_title=method,
        colormap=colormap,
    )
    yield "right.png", sheet
    rows = _there(shown.rows(paths[choose_wrong(good, sure, most)]))
    sheet = wrong_sheet(
        rows,
        title=f"{title}: predicted wrong",
        n_wrong=len(known) - n_right,
        n_images=len(known),
        method_title=method,
        colormap=colormap,
    )
    yield "wrong.png", sheet


def _class_sheet(plan: Plan, shown: ShownRows, title: str, method: str) -> Image.Image | None:
    targets, paths = plan.manifest.targets, shown.told.index.to_numpy()
    if not len(paths):
        return None
    chosen = choose_by_class(targets.numbers(shown.told["true"].tolist()), len(targets.classes))
    return class_sheet(
        {
            label: _there(shown.rows(paths[places], seen=True))
            for label, places in zip(targets.classes, chosen, strict=True)
        },
        title=f"{title}: one image a class",
        note=_NOTE,
        column_titles=("Original", "Pre-processed", method),
        colormap=plan.experiment.explanation.colormap,
    )


def _there(rows: Sequence[SheetRow | None]) -> list[SheetRow]:
    return [row for row in rows if row is not None]
