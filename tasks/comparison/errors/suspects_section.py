"""The part of a comparison that lists the labels which are probably wrong, for people to look at."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.comparison.ensembling.ensembles import average_backbones
from tasks.comparison.errors.suspect_labels import suspect_labels, suspects_by_chance
from tasks.comparison.errors.told_rows import told_rows
from tasks.comparison.evidence import Evidence
from tasks.comparison.pooling import predictions_of
from tasks.comparison.section import Picture, Section, Table
from tasks.comparison.text import count, listing, number
from tasks.dataset.corrections import write_for_annotators
from tasks.explanation.contact_sheet import contact_sheet
from tasks.explanation.methods import get

FILE = "suspect_labels.csv"
"""The experiment's artifact that goes to the people who know, and comes back as `data.corrections`."""

_FEW = 10


@dataclass(frozen=True, eq=False)
class _Suspects:
    """What was found.

    `table` has a row a suspect, with `fold`, `group`, `n_agree` (how many backbones decide as is suggested), and the
    class `label` that is told of it with its probability `told`; `n_by_chance` has a number a draw.
    """

    table: pd.DataFrame
    averaged: pd.DataFrame
    backbones: list[str]
    n_settled: int
    n_by_chance: np.ndarray


def suspect_labels_section(evidence: Evidence) -> Section | None:
    """Give the labels that are probably wrong, by the mean of the backbones that have all their folds.

    They are a table, a file for annotators (`data.corrections` takes it back), and a sheet with the best backbone's
    maps. None where `comparison.suspect_labels` is off or no fold is finished.
    """
    tables = _tables(evidence)
    if not evidence.plan.experiment.comparison.suspect_labels or not tables:
        return None
    found = _find(evidence, tables)
    n_found = len(found.table)
    return Section(
        key="suspect_labels",
        title="Labels that may be wrong",
        sentences=tuple(_told(evidence, found)),
        tables=(_table(found),) if n_found else (),
        pictures=(_sheet(evidence, found),) if n_found else (),
        metrics={"suspect_labels/n": n_found, "suspect_labels/n_by_chance": float(found.n_by_chance.mean())},
        files={FILE: _for_annotators(evidence, found)} if n_found else {},
    )


def _tables(evidence: Evidence) -> Mapping[str, pd.DataFrame]:
    """Give the predictions of the backbones that have all folds; where none has, of the folds that they share."""
    results, n_folds = evidence.results, evidence.plan.n_folds
    whole = {name: own.out_of_fold for name, own in results.items() if len(own.finished) == n_folds}
    return whole or evidence.tables


def _find(evidence: Evidence, tables: Mapping[str, pd.DataFrame]) -> _Suspects:
    targets, seed = evidence.plan.manifest.targets, evidence.plan.experiment.seed
    averaged = average_backbones(tables, targets)
    every = suspect_labels(averaged, targets)
    settled = {said.path for said in evidence.plan.manifest.corrections}
    open_ones = every[~every["path"].isin(settled)].reset_index(drop=True)
    by_path = averaged.set_index("path")
    decided = [table.set_index("path")["predicted"].reindex(open_ones["path"]) for table in tables.values()]
    agree = [own.to_numpy(dtype=object) == open_ones["suggested"].to_numpy(dtype=object) for own in decided]
    label, told = _told_labels(evidence, averaged, open_ones)
    table = open_ones.assign(
        fold=by_path["fold"].reindex(open_ones["path"]).to_numpy(),
        group=evidence.groups.reindex(open_ones["path"]).to_numpy(),
        n_agree=np.sum(agree, axis=0),
        label=label,
        told=told,
    )
    return _Suspects(
        table, averaged, list(tables), len(every) - len(open_ones), suspects_by_chance(averaged, targets, seed=seed)
    )


def _told_labels(evidence: Evidence, averaged: pd.DataFrame, found: pd.DataFrame) -> tuple[list[str], list[float]]:
    """Give the class that is told of each suspect, and its probability.

    It is the suggested one; with several labels, of those that change the one that is the least plausible as given.
    """
    targets = evidence.plan.manifest.targets
    given, suggested = (targets.numbers(found[name].tolist()) for name in ("given", "suggested"))
    rows = averaged.set_index("path").loc[found["path"]].reset_index()
    y_prob = predictions_of(rows, targets).y_prob if len(rows) else np.zeros((0, len(targets.classes)))
    if targets.kind == "multilabel":
        own = np.where(given == 1, y_prob, 1 - y_prob)
        number_of = np.where(given != suggested, own, np.inf).argmin(axis=1)
    else:
        number_of = suggested
    told = np.take_along_axis(y_prob, number_of[:, None], axis=1)[:, 0]
    return [targets.classes[one] for one in number_of], told.tolist()


def _told(evidence: Evidence, found: _Suspects) -> Iterator[str]:
    n_found, n_images = len(found.table), len(found.averaged)
    by = found.backbones[0] if len(found.backbones) == 1 else f"the mean of {listing(found.backbones)}"
    if n_found:
        yield (
            f"{count(n_found, 'label')} of {n_images} ({100 * n_found / n_images:.1f} %) "
            f"{'is' if n_found == 1 else 'are'} worth a second look: {by} is confident of another one, by models that "
            "never saw the image."
        )
    else:
        yield f"None of {n_images} labels is suspect to {by}; that does not show that all of them are right."
    yield _against_chance(found)
    if n_found:
        worst = found.table.iloc[0]
        none = evidence.plan.manifest.targets.none_name
        yield (
            f"The most suspect one is {worst['path']}: given {worst['given'] or none}, suggested "
            f"{worst['suggested'] or none} (probability {number(float(worst['probability']))})."
        )
        yield (
            "A suspect is no error: an image can also be hard, or models can have learnt the same mistake. "
            f"{FILE} is for the people who know the images: what they write into `correct`, `by` and `when` counts in "
            "the next run with that file under `data.corrections`."
        )
    if found.n_settled:
        yield f"{count(found.n_settled, 'image')} that `data.corrections` has settled would be listed too."
    incomplete = [name for name in evidence.results if name not in found.backbones]
    if incomplete:
        yield f"Left out, since not all of their folds are finished: {listing(incomplete)}."
    yield from _few(evidence, found)


def _against_chance(found: _Suspects) -> str:
    low, middle, high = np.quantile(found.n_by_chance, [0.025, 0.5, 0.975])
    n_found = len(found.table) + found.n_settled
    start = (
        "If all labels were right and the images just as hard, "
        f"{middle:.0f} ({low:.0f} to {high:.0f}) would be listed all the same"
    )
    if n_found > high:
        return f"{start}: more are listed than hard images alone explain, so some labels are probably wrong."
    return f"{start}: hard images alone can give as many, so only a look at them tells."


def _few(evidence: Evidence, found: _Suspects) -> Iterator[str]:
    targets = evidence.plan.manifest.targets
    y_true = predictions_of(found.averaged, targets).y_true
    sizes = y_true.sum(axis=0) if y_true.ndim == 2 else np.bincount(y_true, minlength=len(targets.classes))
    few = [f"{name} ({size})" for name, size in zip(targets.classes, sizes, strict=True) if size < _FEW]
    if few:
        yield f"How sure a class can be is learnt from its own images, and of these there are few: {listing(few)}."


def _table(found: _Suspects) -> Table:
    columns = ["path", "given", "suggested", "probability", "margin", "n_agree", "fold", "group"]
    n_backbones = len(found.backbones)
    return Table(
        "suspects",
        "Labels worth a second look, the least plausible first. The margin is the probability of the given label less "
        "that of the likeliest other one.",
        found.table[columns],
        {
            "path": "Image",
            "given": "given",
            "suggested": "suggested",
            "probability": "its probability",
            "margin": "margin",
            "n_agree": f"backbones that decide so, of {n_backbones}",
        },
        longest=15,
    )


def _sheet(evidence: Evidence, found: _Suspects) -> Picture:
    settings, best = evidence.plan.experiment.explanation, found.backbones[0]
    shown = found.table.head(settings.contact_sheet_images)
    table = shown.assign(first=shown["given"], second=shown["suggested"], probability=shown["told"])
    method = get(settings.methods[0]).title
    sheet = contact_sheet(
        list(told_rows(evidence, best, table, ("given", "suggested"))),
        title=f"{evidence.plan.experiment.name}: labels worth a second look",
        note=f"{len(shown)} of {count(len(found.table), 'suspect')}, the least plausible label first; maps of {best}",
        column_titles=("Original", method),
        colormap=settings.colormap,
    )
    file = io.BytesIO()
    sheet.save(file, "PNG")
    caption = (
        f"Labels worth a second look, with the {method} of {best}, by the one of its models that never saw the image."
    )
    return Picture("suspect_labels", caption, file.getvalue())


def _for_annotators(evidence: Evidence, found: _Suspects) -> bytes:
    with tempfile.TemporaryDirectory(prefix="foldcam-suspects-") as scratch:
        file = Path(scratch) / FILE
        write_for_annotators(found.table, evidence.plan.manifest.targets, file)
        return file.read_bytes()
