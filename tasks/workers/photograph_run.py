"""One backbone on photographs without labels, in a worker: predict, explain, draw, log."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from tasks.backbones.build import BuiltModel
from tasks.backbones.imagenet_classes import ImagenetClasses, imagenet_classes
from tasks.backbones.pretrained import build_pretrained
from tasks.config import Experiment
from tasks.dataset.photographs import Photographs
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import masked, shape
from tasks.dataset.spreadsheets import inert
from tasks.explanation.building import in_colours
from tasks.explanation.chosen_classes import ChosenClasses, ClassOutputs
from tasks.explanation.class_figures import Panel, overlay_name, panel_figure, percent
from tasks.explanation.gallery import choose_images, unique_names
from tasks.explanation.methods import get
from tasks.explanation.overlays import overlay_of_square
from tasks.tracking.levels import flattened, photograph_content
from tasks.tracking.writer import Writer
from tasks.training.session import derived_seed, start_backbone
from tasks.workers.clock import Clock
from tasks.workers.order import Order
from tasks.workers.photograph_plan import ordered_photographs
from tasks.workers.workshop import Emit

ON_SHEET = 3
"""Classes of an image on a contact sheet."""


@dataclass(frozen=True)
class _Run:
    """What a backbone's run works with."""

    experiment: Experiment
    photographs: Photographs
    built: BuiltModel
    classes: ImagenetClasses
    named: list[int]
    """The classes that are explained on every photograph."""


@dataclass(frozen=True)
class _Shot:
    """A photograph with its predictions, and the name of its files."""

    path: str
    name: str
    picture: np.ndarray
    table: pd.DataFrame


def explain_photographs(order: Order, emit: Emit) -> dict[str, Any]:
    """Predict and explain every photograph by one backbone and log it to the MLflow run that the order names.

    Returns
    -------
    dict
        `images`: how many were explained; `seconds`: by step.

    Raises
    ------
    InputError
        The weights or the class index cannot be had, a class is unknown, or a photograph has changed.
    """
    clock = Clock()
    with clock.step("prepare"):
        run = _prepared(order)
    seed = derived_seed(run.experiment.seed, order.backbone, "explain")
    chosen = ChosenClasses(run.built.model, run.built.cam_layer, run.experiment.explanation, seed=seed)
    with tempfile.TemporaryDirectory(prefix="foldcam-photographs-") as scratch:
        folder = Path(scratch)
        with clock.step("explain"):
            table = _explain_all(folder, run, chosen, emit)
        table.to_parquet(folder / "predictions.parquet", index=False)
        inert(table).to_csv(folder / "predictions.csv", index=False)
        with clock.step("log"):
            seconds = clock.seconds | {"total": clock.total()}
            Writer(order.tracking_uri, order.run_id).write(photograph_content(folder, _params(order, run), seconds))
    return {"images": len(run.photographs.table), "seconds": clock.seconds | {"total": clock.total()}}


def _prepared(order: Order) -> _Run:
    experiment = Experiment.model_validate(order.experiment)
    model = experiment.model_of(order.backbone)
    classes = imagenet_classes()
    named = classes.numbers(experiment.explanation.classes)
    start_backbone(derived_seed(experiment.seed, order.backbone, "session"), mixed_precision=False)
    built = build_pretrained(order.backbone, weights=model.weights, size=model.size)
    return _Run(experiment, ordered_photographs(order, experiment), built, classes, named)


def _explain_all(folder: Path, run: _Run, chosen: ChosenClasses, emit: Emit) -> pd.DataFrame:
    """Write each photograph's overlays and figure, and the contact sheet; give the predictions."""
    paths, settings = run.photographs.paths, run.experiment.explanation
    names = unique_names(paths, suffix="")
    sheet: list[Panel] = []
    on_sheet = choose_images(np.zeros(len(paths)), settings.contact_sheet_images, run.experiment.seed)
    tables = []
    for row, (path, name) in enumerate(zip(paths, names, strict=True)):
        emit({"state": "explaining", "done": row, "total": len(paths)})
        table, panels = _explain(folder / "explanations", run, chosen, row, name)
        tables.append(table.assign(image=path)[["image", *table.columns]])
        if row in on_sheet:
            sheet += panels[: 1 + min(ON_SHEET, settings.top)]
    title = f"{run.built.spec.title}: the likeliest classes"
    columns = 1 + min(ON_SHEET, settings.top)
    first = get(settings.methods[0]).title
    note = f"{first} of each class's logit, {len(on_sheet)} of {len(paths)} photographs"
    figure = panel_figure(sheet, title=title, note=note, columns=columns, colormap=settings.colormap, side=180)
    figure.save(folder / "explanations" / "contact_sheet.png", compress_level=1)
    emit({"state": "logging", "done": len(paths), "total": len(paths)})
    return pd.concat(tables, ignore_index=True)


def _explain(folder: Path, run: _Run, chosen: ChosenClasses, row: int, name: str) -> tuple[pd.DataFrame, list[Panel]]:
    """Write one photograph's overlays and figures; give its predictions, and the panels of the first method."""
    settings, how = run.experiment.explanation, shaping_of(run.experiment.data.preprocessing)
    picture = run.photographs.open(row)
    square = shape(picture, int(run.built.model.input_shape[1]), how)
    classes, outputs = chosen(square, settings.top, run.named)
    table = _predictions(classes, outputs, run.classes)
    shot = _Shot(run.photographs.paths[row], name, picture, table)
    panels = [_draw(folder, run, shot, method, chosen.layer(method), maps) for method, maps in outputs.maps.items()]
    return table, panels[0]


def _draw(folder: Path, run: _Run, shot: _Shot, method: str, layer: str, raw: np.ndarray) -> list[Panel]:
    """Write one method's overlays and figure of a photograph; give its panels: the picture, then the maps."""
    settings, how = run.experiment.explanation, shaping_of(run.experiment.data.preprocessing)
    picture = shot.picture
    maps = in_colours(method, raw)
    overlays = [overlay_of_square(picture, heat, how, settings.alpha, settings.colormap) for heat in maps]
    _write_overlays(folder / method / shot.name, shot.table, overlays, settings.format)
    panels = [Panel(masked(picture, how), shot.path, f"{picture.shape[1]} × {picture.shape[0]} pixels")]
    for overlay, heat, found in zip(overlays, maps, shot.table.to_dict("records"), strict=True):
        note = f"{percent(found['probability'])} · number {found['rank']}"
        panels.append(Panel(overlay, found["class"], note if heat.any() else f"{note} · no place speaks for it"))
    place = f" at {layer}" if layer else ""
    note = f"{get(method).title} of each class's logit{place}, each map scaled to its own maximum"
    figures = folder / "figures" if method == settings.methods[0] else folder / "figures" / method
    figures.mkdir(parents=True, exist_ok=True)
    figure = panel_figure(panels, title=f"{run.built.spec.title}: {shot.path}", note=note, colormap=settings.colormap)
    figure.save(figures / f"{shot.name}.png")
    return panels


def _predictions(classes: list[int], outputs: ClassOutputs, index: ImagenetClasses) -> pd.DataFrame:
    """Give a row a class: `rank` (1: the likeliest of all), `class`, `synset`, `probability`, `logit`."""
    rank_of = np.empty(len(outputs.logits), dtype=np.int64)
    rank_of[np.argsort(-outputs.logits, kind="stable")] = np.arange(1, len(outputs.logits) + 1)
    return pd.DataFrame(
        {
            "rank": rank_of[classes],
            "class": [index.names[number] for number in classes],
            "synset": [index.synsets[number] for number in classes],
            "probability": outputs.probabilities[classes].astype(np.float64),
            "logit": outputs.logits[classes].astype(np.float64),
        }
    )


def _write_overlays(folder: Path, table: pd.DataFrame, overlays: list[np.ndarray], ending: str) -> None:
    folder.mkdir(parents=True)
    for overlay, found in zip(overlays, table.to_dict("records"), strict=True):
        file = folder / overlay_name(found["rank"], found["class"], ending)
        Image.fromarray(overlay).save(file, quality=90, compress_level=4)


def _params(order: Order, run: _Run) -> dict[str, object]:
    experiment, built = run.experiment, run.built
    model = experiment.model_of(order.backbone)
    size = int(built.model.input_shape[1])
    return {
        "backbone": order.backbone,
        "model.weights": model.weights,
        "model.size": size,
        "model.head": "pretrained",
        **flattened(experiment.explanation.model_dump(mode="json"), "explanation."),
        "seed": experiment.seed,
        "n_images": len(run.photographs.table),
        "parameters": built.model.count_params(),
        "weights_digest": built.weights_digest,
        "cam_layer": built.cam_layer,
    }
