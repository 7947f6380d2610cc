"""How far a fold's maps can be believed: what is measured inside the fold run, and what it comes to."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tasks.dataset.folds.assignment import FoldRows
from tasks.dataset.spreadsheets import inert
from tasks.evaluation.outputs import class_probabilities
from tasks.explanation.building import shown
from tasks.explanation.faithfulness import Known, Plan, explained_probabilities, measure_faithfulness
from tasks.explanation.gallery import choose_images
from tasks.explanation.measures import FAITHFULNESS, TRUTH_COLUMNS, explanation_metrics, groups_of, verdicts
from tasks.explanation.perturbed import SOURCES
from tasks.explanation.predictions import BATCH
from tasks.explanation.sanity import Checked, RandomisationCurve, randomisation_curves
from tasks.explanation.stability import under_noise, under_shift
from tasks.explanation.truth_figure import write_truth_figure
from tasks.training.session import derived_seed
from tasks.workers.decisions import Outcome
from tasks.workers.effort import STAGES, Prices, prices_of, sample_size
from tasks.workers.fold_explained import Explained
from tasks.workers.fold_location import where_heat_lies
from tasks.workers.order import Material
from tasks.workers.workshop import Bench

STEPS = 5
"""Steps in which pixels are taken away and put in, the same for all backbones and methods: the areas depend on them."""


@dataclass(frozen=True)
class Examined:
    """What came of the measures.

    Attributes
    ----------
    metrics : dict of str to float
        By the metrics' full names, `explain/<method>/<measure>`.
    n_images : int
        On how many images the maps were measured.
    passes : int
        How many passes through the network that took.
    seconds : float
        How long it took.
    """

    metrics: dict[str, float]
    n_images: int = 0
    passes: int = 0
    seconds: float = 0.0

    def logged(self, run_seconds: float) -> dict[str, float]:
        """Give the metrics with `explain/seconds_share`, the share of the fold run's seconds that the measures took."""
        return self.metrics | ({"explain/seconds_share": self.seconds / run_seconds} if self.metrics else {})


NOTHING = Examined({})
"""Where no image is explained."""


def examine(
    folder: Path, material: Material, bench: Bench, rows: FoldRows, fold: int, outcome: Outcome, found: Explained
) -> Examined:
    """Measure how far a fold's maps can be believed, and write what people look at.

    Every method is measured on the same images: a choice by class and group of those explained, which is the same for
    all backbones but for its size (`effort.sample_size`), and of which a smaller one is part of a larger.

    Parameters
    ----------
    folder : Path
        Where `location.parquet` goes and, where maps are measured, `truth.parquet`, `sanity.csv` and `truth.png`; it is
        made.
    material : Material
        Settings and images.
    bench : Bench
        The fitted network; its weights are changed meanwhile, and afterwards are what they were to the last bit.
    rows : FoldRows
        The fold's images.
    fold : int
        Its number; the random maps, the shuffled weights and the noise follow from it and from the experiment's seed.
    outcome : Outcome
        The network's predictions.
    found : Explained
        Its explained images and their maps.

    Raises
    ------
    InputError
        A region cannot be used.
    """
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    decided = found.y_pred[outcome.test.places(found.rows)]
    location = where_heat_lies(material, found.rows, decided, found.good, found.maps)
    location.to_parquet(folder / "location.parquet", index=False)
    if not material.experiment.explanation.faithfulness_images:
        return Examined(explanation_metrics(None, location), seconds=time.perf_counter() - started)
    plan = Plan(steps=STEPS, seed=derived_seed(material.experiment.seed, fold, "truth"))
    prices = prices_of(bench, plan, found.maps)
    n_images = sample_size(material, bench, rows, len(found.rows), prices)
    subjects = [_Subject(material, bench, found, name, n_images, prices) for name in found.maps]
    truth, sanity = _measured(subjects, bench, plan)
    truth.to_parquet(folder / "truth.parquet", index=False)
    inert(sanity).to_csv(folder / "sanity.csv", index=False)
    title = f"{bench.built.spec.title} · fold {fold}"
    write_truth_figure(folder / "truth.png", truth, sanity, verdicts(truth, location), title=title)
    seconds = time.perf_counter() - started
    return Examined(explanation_metrics(truth, location), n_images, prices.of(n_images), seconds)


class _Subject:
    """One method, and the images on which its maps are measured."""

    def __init__(
        self, material: Material, bench: Bench, found: Explained, name: str, n_images: int, prices: Prices
    ) -> None:
        self.name, self.every_stage = name, prices.every_stage(name)
        places = _chosen(material, found.rows, n_images)
        checked = _chosen(material, found.rows, prices.checked(name, n_images))
        self.checked = np.searchsorted(places, checked)
        rows, stored, manifest = found.rows[places], found.maps[name], material.manifest
        self.targets, self.maps = stored.classes[places], shown(name, stored.maps[places])
        self.images = np.asarray(bench.images[rows], dtype=np.float32)
        facts = manifest.table.iloc[rows][["path", "group"]].reset_index(drop=True)
        labels = [manifest.classes[number] for number in self.targets]
        self.keys = facts.assign(method=name, label=labels)
        self.groups = groups_of(facts)
        self._method, self._outputs, self._kind = (
            bench.explainers(name),
            bench.explainers.outputs,
            manifest.targets.kind,
        )

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Give the probabilities of what maps of some images are for."""
        return explained_probabilities(class_probabilities(self._outputs(images), self._kind), self._kind)

    def explain(self, images: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Give outputs and maps of some images."""
        parts = [slice(start, start + BATCH) for start in range(0, len(images), BATCH)]
        found = [self._method(images[part], targets[part]) for part in parts]
        outputs, maps = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        return outputs, shown(self.name, maps)

    def check(self) -> Checked:
        """Give what the randomised models are asked for."""
        images, targets = self.images[self.checked], self.targets[self.checked]
        return Checked(
            lambda: self.explain(images, targets)[1], self.maps[self.checked], self._groups_checked, self.every_stage
        )

    @property
    def _groups_checked(self) -> np.ndarray | None:
        return None if self.groups is None else self.groups[self.checked]

    def faithfulness(self, plan: Plan, known: Known) -> pd.DataFrame:
        """Give a column a measure and source, one row an image."""
        how: dict[str, Any] = {"groups": self.groups, "known": known}
        table = measure_faithfulness(self.predict, self.images, self.maps, self.targets, plan, **how).table
        parts = []
        for source in SOURCES:
            part = table.loc[table["source"] == source, list(FAITHFULNESS)].reset_index(drop=True)
            parts.append(part if source == SOURCES[0] else part.add_suffix(f"_{source}"))
        return pd.concat(parts, axis=1)

    def steadiness(self, seed: int, curve: RandomisationCurve) -> pd.DataFrame:
        """Give a column each of `measures.STEADINESS`, NaN for images that are not checked."""
        chosen = self.images[self.checked], self.targets[self.checked], self.maps[self.checked]
        how: dict[str, Any] = {"draws": 1, "batch": BATCH, "groups": self._groups_checked, "seed": seed}
        found = {
            "sanity_rank": curve.rank,
            "sanity_ssim": curve.ssim,
            "noise": under_noise(self.explain, *chosen, **how).values,
            "shift": under_shift(self.explain, *chosen, **how).values,
        }
        values = np.full((len(self.images), len(found)), np.nan)
        values[self.checked] = np.column_stack(list(found.values()))
        return pd.DataFrame(values, columns=list(found))


def _chosen(material: Material, rows: np.ndarray, most: int) -> np.ndarray:
    """Give the places of at most so many of the rows, by class and group."""
    manifest = material.manifest
    groups = groups_of(manifest.table.iloc[rows])
    return choose_images(manifest.strata[rows], most, material.experiment.seed, groups)


def _measured(subjects: Sequence[_Subject], bench: Bench, plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give the tables of truth and of sanity, as `truth.parquet` and `sanity.csv` have them."""
    asked = {subject.name: subject.check() for subject in subjects}
    curves = randomisation_curves(bench.built.model, asked, max_stages=STAGES, seed=plan.seed)
    known: Known = {}
    tables = [
        pd.concat(
            [subject.keys, subject.faithfulness(plan, known), subject.steadiness(plan.seed, curves[subject.name])],
            axis=1,
        )
        for subject in subjects
    ]
    truth = pd.concat(tables, ignore_index=True)[list(TRUTH_COLUMNS)]
    sanity = pd.concat([curve.table.assign(method=name) for name, curve in curves.items()], ignore_index=True)
    return truth, sanity[["method", *(name for name in sanity if name != "method")]]
