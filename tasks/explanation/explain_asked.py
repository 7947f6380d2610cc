"""Explains images one after the other, writes what is found, and measures how far to believe the first maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.dataset.asked_images import AskedImage
from tasks.dataset.pixels.images import Pixels
from tasks.dataset.wording import counted
from tasks.explanation.asked import Asked
from tasks.explanation.building import shown
from tasks.explanation.explainable import Explainable
from tasks.explanation.explained_files import Files
from tasks.explanation.faithfulness import OVERALL, Plan, explained_probabilities, measure_faithfulness
from tasks.explanation.feature_maps import asked_feature_maps, write_feature_maps
from tasks.explanation.integrated_figure import LARGE_GAP
from tasks.explanation.intervals import LEAST_GROUPS
from tasks.explanation.methods import get
from tasks.explanation.perturbed import SOURCES
from tasks.explanation.wanted import Found, Methods

AT_ONCE = 4
"""Images that are held at their own size."""

Report = Callable[[str, int, int], None]
"""Is called with what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, eq=False)
class Measured:
    """A map whose faithfulness is measured: its row, its image's place, what the model saw, and the map."""

    row: int
    place: int
    square: Pixels
    found: Found


def explain_asked(
    subject: Explainable, images: Sequence[AskedImage], asked: Asked, folder: Path, report: Report
) -> tuple[pd.DataFrame, list[str]]:
    """Explain images by a model and write all files below a folder.

    Parameters
    ----------
    subject : Explainable
        The model.
    images : sequence of AskedImage
        One or more.
    asked : Asked
        Which classes, methods and measures.
    folder : Path
        An empty folder.
    report : callable
        See `Report`.

    Returns
    -------
    table : DataFrame
        What `explanations.csv` holds.
    warnings : list of str
        What people should know before they believe the pictures.

    Raises
    ------
    InputError
        A class or a layer is unknown, a method does not go with the model or its settings, or an image has changed.
    """
    methods = Methods(subject, asked)
    draws = asked.settings.feature_maps
    features = asked_feature_maps(subject.model, draws) if draws else None
    files = Files(folder, methods, images)
    kept: list[Measured] = []
    for start in range(0, len(images), AT_ONCE):
        places = range(start, min(start + AT_ONCE, len(images)))
        pictures = [images[place].open(subject.ground) for place in places]
        squares = np.stack([subject.square(picture) for picture in pictures])
        kept += _explain(methods, files, places, pictures, squares, asked.measured - len(kept), report)
        if features is not None:
            names, paths = [files.name(place) for place in places], [images[place].name for place in places]
            look = asked.settings.colormap
            write_feature_maps(folder / "feature_maps", features, squares, paths, names=names, colormap=look)
    report("explaining images", len(images), len(images))
    unfaithful = _measure(methods, files, kept, report)
    table = files.write_table()
    warnings = [*subject.notes, *_warnings(table, asked, len(kept)), *unfaithful]
    files.write_page(_page_note(methods))
    return table, warnings


def _explain(
    methods: Methods,
    files: Files,
    places: range,
    pictures: list[Pixels],
    squares: np.ndarray,
    room: int,
    report: Report,
) -> list[Measured]:
    """Explain and write some images; give the maps that are to be measured, at most as many as there is room for."""
    probabilities = methods.subject.predict(squares)
    targets, decided = methods.targets(probabilities), methods.decided(probabilities)
    found: list[Found] = []
    for method in methods.names:
        report(f"explaining images by {get(method).title}", places.start, len(files.images))
        found += methods.maps(method, squares, targets)
    order = {target: number for number, target in enumerate(targets)}
    kept: list[Measured] = []
    for number, place in enumerate(places):
        own = sorted((one for one in found if one.target.image == number), key=lambda one: order[one.target])
        first = len(files.rows)
        files.write(place, pictures[number], decided[number], own)
        left = max(room - len(kept), 0)
        kept += [Measured(first + row, place, squares[number], one) for row, one in enumerate(own[:left])]
    return kept


def _measure(methods: Methods, files: Files, kept: list[Measured], report: Report) -> list[str]:
    """Put the maps' faithfulness into their rows; give a warning for each method that does not beat its controls."""
    subject, differences, plan = methods.subject, methods.differences, Plan(seed=methods.subject.seed)
    total, done, warnings = len(kept) * plan.passes_an_image, 0, []

    def predict(images: np.ndarray) -> np.ndarray:
        nonlocal done
        probabilities, n = subject.predict(images, differences), len(subject.targets.classes)
        probabilities[:, :n] = explained_probabilities(probabilities[:, :n], subject.targets.kind)
        done += len(images)
        report("measuring faithfulness, in forward passes", done, total)
        return probabilities

    groups: dict[tuple[str, str], list[Measured]] = {}
    for one in kept:
        groups.setdefault((one.found.method, one.found.layer), []).append(one)
    images = len({one.place for one in kept})
    if 0 < images < LEAST_GROUPS:
        warnings.append(
            f"Faithfulness was measured on {counted(images, 'image')}: too few to tell whether a method does better "
            f"than a random map and a centred blob. It takes {LEAST_GROUPS}."
        )
    for (method, layer), some in groups.items():
        result = measure_faithfulness(
            predict,
            np.stack([one.square for one in some]),
            shown(method, np.stack([one.found.raw for one in some])),
            np.array([one.found.target.column for one in some]),
            plan,
            groups=np.array([one.place for one in some]),
        )
        for source, values in result.table.groupby("source", sort=False):
            name = "faithfulness" if source == SOURCES[0] else f"faithfulness_{source}"
            for one, value in zip(some, values[OVERALL].tolist(), strict=True):
                files.rows[one.row][name] = value
        if result.flagged:
            where = f" at {layer}" if layer and len(methods.layers(method)) > 1 else ""
            warnings.append(
                f"{get(method).title}{where}: on these images its maps are no more faithful than a random map or a "
                "centred blob, so they do not show what the model needs."
            )
    return warnings


def _warnings(table: pd.DataFrame, asked: Asked, n_measured: int) -> list[str]:
    said = [
        f"{get(name).title} fails sanity checks: {get(name).fails_sanity_checks}."
        for name in asked.settings.methods
        if get(name).fails_sanity_checks
    ]
    blank = int(table["blank"].sum())
    if blank:
        said.append(f"{blank} of {len(table)} maps show nothing: no place speaks for the class.")
    short = table["gap"].to_numpy(dtype=float) >= LARGE_GAP
    if short.any():
        said.append(
            f"{int(short.sum())} of {int(table['gap'].notna().sum())} maps of integrated gradients miss the difference "
            f"of scores by {100 * LARGE_GAP:.0f} % or more: take more steps (--set integrated_gradients.steps=240)."
        )
    if asked.measured and n_measured < len(table):
        said.append(
            f"The faithfulness of the first {n_measured} of {len(table)} maps was measured; --faithfulness "
            f"{len(table)} measures all."
        )
    return said


def _page_note(methods: Methods) -> str:
    marked = [get(name).title for name in methods.names if get(name).fails_sanity_checks]
    failing = f" {', '.join(marked)} fail{'' if len(marked) > 1 else 's'} sanity checks." if marked else ""
    return f"Each map is scaled by itself.{failing}"
