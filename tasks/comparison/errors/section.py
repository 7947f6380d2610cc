"""The part of a comparison that tells what the backbones get wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.comparison.errors.confused_pairs import confused_pairs
from tasks.comparison.errors.mistakes import confident_mistakes
from tasks.comparison.errors.shared_errors import SharedErrors, shared_errors
from tasks.comparison.errors.told_rows import told_rows
from tasks.comparison.evidence import Evidence
from tasks.comparison.interval_columns import with_intervals
from tasks.comparison.pooling import predictions_of
from tasks.comparison.section import Picture, Section, Table
from tasks.comparison.shares import share_interval
from tasks.comparison.statistics.paired import LEAST_GROUPS
from tasks.comparison.text import count, number
from tasks.comparison.whole_groups import whole_groups
from tasks.evaluation.forecasts import group_numbers
from tasks.evaluation.resampling import share
from tasks.explanation.intervals import Interval
from tasks.explanation.methods import get
from tasks.explanation.sheets import wrong_sheet


@dataclass(frozen=True, eq=False)
class _Errors:
    """What the best backbone gets wrong, and what all of them do."""

    best: str
    n_images: int
    share: Interval
    """Of wrong images, 0 to 1."""
    mistakes: pd.DataFrame
    pairs: pd.DataFrame
    shared: SharedErrors | None
    all_wrong: Interval | None


def errors_section(evidence: Evidence) -> Section | None:
    """Give the best backbone's most confident mistakes and confused classes, and the images that all get wrong.

    None where no fold is finished.
    """
    if not evidence.tables:
        return None
    found = _find(evidence)
    made = [_mistakes_table(found), _pairs_table(found), _shared_table(found)]
    shown = _sheet(evidence, found) if len(found.mistakes) else None
    metrics = {"errors/n_wrong": float(len(found.mistakes))}
    if found.shared is not None:
        metrics["errors/n_wrong_by_all"] = float(len(found.shared.all_wrong))
        metrics["errors/n_wrong_by_all_expected"] = found.shared.expected_all_wrong
    return Section(
        key="errors",
        title="What they get wrong",
        sentences=tuple(_told(evidence, found)),
        tables=tuple(table for table in made if table is not None and len(table.frame)),
        pictures=() if shown is None else (shown,),
        metrics=metrics,
    )


def _find(evidence: Evidence) -> _Errors:
    targets, seed = evidence.plan.manifest.targets, evidence.plan.experiment.seed
    best, table = next(iter(evidence.tables.items()))
    groups = whole_groups(evidence.groups, table["path"])
    predictions = predictions_of(table, targets)
    mistakes = confident_mistakes(table, targets)
    shared = shared_errors(evidence.tables, targets) if len(evidence.tables) > 1 else None
    hard = None if shared is None else table["path"].isin(shared.all_wrong["path"]).to_numpy(dtype=bool)
    return _Errors(
        best=best,
        n_images=len(table),
        share=share_interval(table["path"].isin(mistakes["path"]).to_numpy(dtype=bool), groups, seed=seed),
        mistakes=mistakes.assign(group=evidence.groups.reindex(mistakes["path"]).to_numpy()),
        pairs=confused_pairs(predictions, targets, groups, seed=seed),
        shared=shared,
        all_wrong=None if hard is None else _rare(hard, groups),
    )


def _rare(found: NDArray[np.bool_], groups: NDArray[np.object_] | None) -> Interval:
    """Give the share of what is rare, with an interval that holds for a single image too; none with few groups."""
    numbers = group_numbers(groups, len(found))
    n_groups = int(numbers.max()) + 1
    own = share(found, numbers)
    low, high = (own.low, own.high) if n_groups >= LEAST_GROUPS else (np.nan, np.nan)
    return Interval(own.value, low, high, n_groups)


def _told(evidence: Evidence, found: _Errors) -> Iterator[str]:
    n_wrong, none = len(found.mistakes), evidence.plan.manifest.targets.none_name
    who = found.best if found.shared is None else f"{found.best}, the best backbone,"
    yield f"{who} gets {n_wrong} of {count(found.n_images, 'image')} wrong ({_percent(found.share)})."
    if n_wrong:
        first: Any = next(found.mistakes.itertuples())
        label = f" on {first.label}" if evidence.plan.manifest.targets.kind == "multilabel" else ""
        yield (
            f"Its surest mistake is {first.path}: {first.true or none}, predicted {first.predicted or none}, with a "
            f"probability of {number(first.confidence)} for the wrong answer{label}."
        )
    if len(found.pairs):
        pair: Any = next(found.pairs.itertuples())
        yield (
            f"Most often it takes {pair.true} for {pair.predicted}: {pair.n_confused} of "
            f"{count(pair.n_of_true, 'image')} ({_percent(Interval(pair.share, pair.low, pair.high, pair.n_groups))})."
        )
    if found.shared is not None and found.all_wrong is not None:
        yield _shared_told(found.shared, found.all_wrong)


def _percent(share: Interval) -> str:
    told = f"{100 * share.mean:.1f} %"
    if np.isnan(share.low):
        return f"{told}; too few groups for an interval"
    return f"{told}, 95 % interval {100 * share.low:.1f} to {100 * share.high:.1f} %"


def _shared_told(shared: SharedErrors, share: Interval) -> str:
    """Tell how many images all get wrong, and whether that is more than separate errors would give."""
    n_hard, expected = len(shared.all_wrong), shared.expected_all_wrong
    wrong = (
        "No image is wrong for"
        if not n_hard
        else f"{count(n_hard, 'image')} {'is' if n_hard == 1 else 'are'} wrong for"
    )
    every = "both" if shared.n_backbones == 2 else f"all {shared.n_backbones}"
    start = f"{wrong} {every} backbones; {expected:.1f} would be if their errors had nothing to do with each other"
    if not n_hard:
        return f"{start}."
    if np.isnan(share.low):
        return f"{start}, and from so few groups it cannot be told whether that is more than chance."
    if share.low * shared.n_images > expected:
        return f"{start}: so these images are hard for all of them, or their labels are wrong (`shared_mistakes.png`)."
    return f"{start}, which does not differ beyond chance."


def _mistakes_table(found: _Errors) -> Table:
    own = found.mistakes
    if found.shared is not None:
        often = found.shared.images.set_index("path")["n_wrong"]
        own = own.assign(n_wrong=often.reindex(own["path"]).to_numpy())
    return Table(
        "mistakes",
        f"All mistakes of {found.best}, the surest first, by the model that never saw the image.",
        own,
        {
            "path": "Image",
            "true": "true",
            "predicted": "predicted",
            "confidence": "probability of the wrong answer",
            "n_wrong": "backbones that are wrong",
            "fold": "fold",
        },
        longest=15,
    )


def _pairs_table(found: _Errors) -> Table:
    return Table(
        "confused_pairs",
        f"Which classes {found.best} takes for which: the share of a class's images, with 95 % intervals that draw "
        "whole groups.",
        with_intervals(found.pairs, interval=("low", "high")),
        {
            "true": "True",
            "predicted": "predicted",
            "n_confused": "images",
            "n_of_true": "of",
            "share": "share",
            "interval": "95 % interval",
        },
    )


def _shared_table(found: _Errors) -> Table | None:
    if found.shared is None:
        return None
    return Table(
        "shared_errors",
        "The images that most backbones get wrong, those first that look least like their label; the file has all that "
        "any backbone gets wrong.",
        found.shared.images,
        {
            "path": "Image",
            "true": "true",
            "n_wrong": f"backbones that are wrong, of {found.shared.n_backbones}",
            "taken_for": "mostly taken for",
            "probability_true": "probability of the true label",
        },
        longest=15,
    )


def _sheet(evidence: Evidence, found: _Errors) -> Picture | None:
    settings = evidence.plan.experiment.explanation
    shown = found.mistakes.head(settings.contact_sheet_images)
    table = shown.assign(first=shown["true"], second=shown["predicted"])
    method = get(settings.methods[0]).title
    sheet = wrong_sheet(
        list(told_rows(evidence, found.best, table)),
        title=f"{found.best}: its surest mistakes",
        n_wrong=len(found.mistakes),
        n_images=found.n_images,
        method_title=method,
        colormap=settings.colormap,
    )
    if sheet is None:
        return None
    file = io.BytesIO()
    sheet.save(file, "PNG")
    caption = f"The surest mistakes of {found.best}, with the {method} of the model that never saw the image."
    return Picture("surest_mistakes", caption, file.getvalue())
