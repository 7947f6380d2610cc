"""What the main job's backbones cost, as its record has it."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.support.readback import artifact

FIGURES = (
    *("train_seconds", "images_per_second_1", "images_per_second_32", "parameters", "gflops", "peak_memory_mb"),
    "model_mb",
)


def test_every_backbone_has_its_cost_beside_its_scores(job, runs):
    for name, run in runs.backbones.items():
        metrics = run.data.metrics
        assert all(metrics[f"cost/{figure}"] > 0 for figure in FIGURES)
        folds = [own.data for (backbone, _), own in runs.folds.items() if backbone == name]
        assert all(str(int(metrics["cost/parameters"])) == own.params["parameters"] for own in folds)
        seconds = [own.metrics["seconds/train"] for own in folds]
        assert metrics["cost/train_seconds"] == pytest.approx(sum(seconds) / len(seconds))
        assert metrics["cost/peak_memory_mb"] == max(own.metrics["cost/peak_memory_mb"] for own in folds)
        assert run.data.tags["foldcam.cost_device"] == "CPU"
    assert runs.experiment.data.metrics["seconds/cost"] > 0


def test_the_comparison_tells_the_cost_as_table_and_figure(job, runs):
    table = pd.read_csv(artifact(job.client, runs.experiment, "tables/cost.csv")).set_index("backbone")
    assert list(table.index) == job.result.ranking
    for name, run in runs.backbones.items():
        row, metrics = table.loc[name], run.data.metrics
        assert {figure: row[figure] for figure in FIGURES} == pytest.approx(
            {figure: metrics[f"cost/{figure}"] for figure in FIGURES}
        )
        assert row["score"] == pytest.approx(metrics["oof/balanced_accuracy"])
    assert artifact(job.client, runs.experiment, "figures/score_against_cost.png").stat().st_size > 1000
    page = artifact(job.client, runs.experiment, "report.html").read_text(encoding="utf-8")
    assert "What they cost" in page
