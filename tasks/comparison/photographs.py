"""What an experiment on photographs without labels gives: its result, and all backbones side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from tasks.backbones.registry import get
from tasks.comparison.backbone import Fetch
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import masked
from tasks.explanation.class_figures import Panel, overlay_name, panel_figure, percent
from tasks.explanation.gallery import choose_images, unique_names
from tasks.explanation.methods import get as method_of
from tasks.tracking.levels import flattened
from tasks.tracking.records import File, Metrics, Params, Record, Tags
from tasks.workers.photograph_plan import TABLE, PhotographPlan


@dataclass(frozen=True)
class ExplainedBackbone:
    """One backbone's run on the photographs and how it ended.

    Attributes
    ----------
    name, run_id
        Registry name; its MLflow run, None where it failed before one was made.
    status
        `completed` now, `reused` from an earlier call, or `failed`.
    error
        Why it failed; None otherwise.
    """

    name: str
    run_id: str | None
    status: Literal["completed", "reused", "failed"]
    error: str | None = None


@dataclass(frozen=True)
class PhotographsResult:
    """A whole experiment, with the fields of `foldcam run --json` and the predictions.

    Attributes
    ----------
    experiment, experiment_run_id
        The name; the MLflow run.
    status
        `completed`: every backbone that was asked for has its result; `partial`: some have; `failed`: none has.
    data_digest
        SHA-256 of the photographs.
    backbones
        By name, in the file's order.
    seconds
        By step.
    tracking_uri
        Where the runs are.
    read
        Gives a backbone's predictions by its run's id.
    """

    experiment: str
    experiment_run_id: str
    status: Literal["completed", "partial", "failed"]
    data_digest: str
    backbones: Mapping[str, ExplainedBackbone]
    seconds: Mapping[str, float]
    tracking_uri: str
    read: Callable[[str], pd.DataFrame] = field(repr=False)

    @property
    def failures(self) -> list[ExplainedBackbone]:
        """The backbones that failed."""
        return [own for own in self.backbones.values() if own.status == "failed"]

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row a backbone, photograph and class: `backbone`, and the columns of `predictions.parquet`.

        These are `image`, `rank`, `class`, `synset`, `probability` and `logit`; read when first asked for.
        """
        tables = [
            self.read(own.run_id).assign(backbone=own.name)
            for own in self.backbones.values()
            if own.run_id and not own.error
        ]
        if not tables:
            return pd.DataFrame()
        table = pd.concat(tables, ignore_index=True)
        return table[["backbone", *table.columns.drop("backbone")]]

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam run --json`; nothing is scored, so metrics, folds and ranking are empty."""
        return {
            "experiment": self.experiment,
            "experiment_run_id": self.experiment_run_id,
            "status": self.status,
            "data_digest": self.data_digest,
            "backbones": {
                name: {"run_id": own.run_id, "status": own.status, "error": own.error, "metrics": {}, "folds": []}
                for name, own in self.backbones.items()
            },
            "ranking": [],
            "report": None,
            "seconds": {step: round(seconds, 3) for step, seconds in self.seconds.items()},
        }


def opening_content(plan: PhotographPlan, folder: Path) -> Iterator[Record]:
    """Give what is known before any network is built: settings and photographs."""
    experiment = plan.experiment
    settings = experiment.model_dump(mode="json", exclude={"folds", "training", "evaluation"})
    (folder / "experiment.yaml").write_text(
        yaml.safe_dump(settings, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    plan.photographs.table.to_parquet(folder / TABLE, index=False)
    yield Params({"n_images": len(plan.photographs.table), **flattened(settings)})
    yield Tags({"mlflow.note.content": experiment.description or f"Experiment {experiment.name}"})
    yield File(folder / "experiment.yaml")
    yield File(folder / TABLE)


def closing_content(
    plan: PhotographPlan, done: Mapping[str, str], fetch: Fetch, seconds: Mapping[str, float], folder: Path
) -> Iterator[Record]:
    """Give what the backbones' runs together add to the experiment's run.

    Parameters
    ----------
    plan
        The settings and the photographs.
    done : mapping of str to str
        The runs of the backbones that are done, by name.
    fetch
        Finds their artifacts.
    seconds : mapping of str to float
        Seconds by step.
    folder
        A folder to write in.
    """
    yield Metrics({f"seconds/{step.replace(' ', '_')}": value for step, value in seconds.items()})
    if done:
        _comparison_sheet(plan, done, fetch).save(folder / "contact_sheet.png", compress_level=1)
        yield File(folder / "contact_sheet.png")


def _comparison_sheet(plan: PhotographPlan, done: Mapping[str, str], fetch: Fetch) -> Image.Image:
    """Draw the same photographs for every backbone: the picture, then the likeliest class as each one sees it."""
    settings, how = plan.experiment.explanation, shaping_of(plan.experiment.data.preprocessing)
    paths, method = plan.photographs.paths, settings.methods[0]
    names = unique_names(paths, suffix="")
    tables = {name: pd.read_parquet(fetch(run_id, "predictions.parquet")) for name, run_id in done.items()}
    best = {name: table[table["rank"] == 1].set_index("image") for name, table in tables.items()}
    shown = choose_images(np.zeros(len(paths)), settings.contact_sheet_images, plan.experiment.seed)
    panels = []
    for row in shown:
        panels.append(Panel(masked(plan.photographs.open(row), how), paths[row]))
        for name, run_id in done.items():
            found = best[name].loc[paths[row]]
            file = overlay_name(1, found["class"], settings.format)
            overlay = Image.open(fetch(run_id, f"explanations/{method}/{names[row]}/{file}")).convert("RGB")
            note = f"{get(name).title} · {percent(found['probability'])}"
            panels.append(Panel(np.asarray(overlay), found["class"], note))
    title = f"{plan.experiment.name}: where each backbone looks"
    note = f"{method_of(method).title} of the likeliest class, {len(shown)} of {len(paths)} photographs"
    return panel_figure(panels, title=title, note=note, columns=1 + len(done), colormap=settings.colormap, side=180)
