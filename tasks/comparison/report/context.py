"""All that the report of an experiment says, before it is a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from tasks.comparison.looks.told import LookRow
from tasks.comparison.report.drawn import Drawn
from tasks.comparison.section import Section
from tasks.comparison.summary import Summary
from tasks.config import Kind


@dataclass(frozen=True)
class FoldReport:
    """One fold run, as the report tells of it.

    Attributes
    ----------
    fold
        Its number, as in MLflow.
    status
        How it ended; `missing`: it was not asked for, or the experiment ended before it.
    value
        The ranking metric on its test images; None where there is none.
    run_id
        Its MLflow run, if it has one.
    error
        Why it failed, in one sentence.
    """

    fold: int
    status: Literal["completed", "reused", "failed", "missing"]
    value: float | None = None
    run_id: str | None = None
    error: str = ""


@dataclass(frozen=True)
class BackboneReport:
    """One backbone, as the report tells of it.

    Attributes
    ----------
    name, title
        Its registry name, and what it is in words.
    summaries
        By metric (per-class ones too), the figures over its folds.
    folds
        Its fold runs, in the order of the folds.
    n_images
        How many images have an out-of-fold prediction by it.
    start
        What it started from and what was trained, such as `imagenet, base frozen`.
    holdout
        By metric, the fold ensemble's score on the holdout; empty without a holdout.
    seconds
        Seconds that its fold runs took together; None where unknown.
    run_id
        Its MLflow run.
    """

    name: str
    title: str
    summaries: Mapping[str, Summary]
    folds: Sequence[FoldReport]
    n_images: int
    start: str = ""
    holdout: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    run_id: str | None = None

    @property
    def n_done(self) -> int:
        """How many of its fold runs are done, now or earlier."""
        return sum(run.status in ("completed", "reused") for run in self.folds)


@dataclass(frozen=True)
class Sheet:
    """A picture in the report: its caption, and the PNG file's bytes."""

    caption: str
    png: bytes


@dataclass(frozen=True)
class AuditRow:
    """What the audit found of one kind: how grave it is, its code, what that is, and on how many images (0: on all)."""

    severity: str
    code: str
    title: str
    message: str
    n_images: int


@dataclass(frozen=True)
class Done:
    """What was done, so that it can be done again.

    Attributes
    ----------
    command
        What to type, beside the experiment's artifact `experiment.yaml`.
    facts : mapping of str to str
        Seeds, machine and time, by what they are.
    packages : mapping of str to str
        Versions by name.
    """

    command: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReportContext:
    """All that the report says.

    Attributes
    ----------
    name, description
        The experiment's.
    date
        When it ended, as text.
    version
        foldcam's version.
    data_digest
        The manifest's SHA-256.
    metric, higher_is_better
        What the backbones are ranked by, and whether more of it is better.
    metric_limits
        The least and the largest value that it can take.
    n_images, n_folds, n_holdout
        Images in the folds, folds of all repeats, and images of the holdout (0 without one).
    n_repeats
        How often the images were cut into folds.
    kind
        The kind of labels.
    backbones
        In any order.
    class_counts
        One row a class (the index), one column a fold or split, whole numbers.
    settings
        The experiment file's text.
    sheets
        Contact sheets and mean maps.
    looks
        How far each backbone's maps can be believed, one row a method.
    sections
        The parts of the comparison, in order.
    drawn
        The files of their figures.
    audit
        What the audit of the images found; None where its record is gone.
    done
        What it takes to repeat the experiment.
    has_gallery
        Whether `explanations.html` lies beside the report.
    warnings
        What a reader must know before believing a figure; one plain sentence each.
    chance
        What guessing gives on the ranking metric; None where that is not known.
    seconds
        What the whole experiment took; None where unknown.
    tracking_uri, experiment_run_id
        Where the runs are in MLflow.
    """

    name: str
    description: str
    date: str
    version: str
    data_digest: str
    metric: str
    higher_is_better: bool
    n_images: int
    n_folds: int
    backbones: Sequence[BackboneReport]
    class_counts: pd.DataFrame
    settings: str
    metric_limits: tuple[float, float] = (-math.inf, math.inf)
    n_holdout: int = 0
    n_repeats: int = 1
    kind: Kind = "multiclass"
    sheets: Sequence[Sheet] = ()
    looks: Sequence[LookRow] = ()
    sections: Sequence[Section] = ()
    drawn: Drawn = field(default_factory=dict)
    audit: Sequence[AuditRow] | None = None
    done: Done = field(default_factory=Done)
    has_gallery: bool = False
    warnings: Sequence[str] = ()
    chance: float | None = None
    seconds: float | None = None
    tracking_uri: str = ""
    experiment_run_id: str = ""
