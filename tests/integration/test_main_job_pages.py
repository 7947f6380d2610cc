"""What the main job tells MLflow's pages: views, descriptions, data sets, pictures."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_ARTIFACTS, MLFLOW_LOGGED_IMAGES, MLFLOW_RUN_NOTE

from tasks.tracking.pages import MARK
from tasks.tracking.views import PREFIX
from tests.support.readback import artifact, table, tree


def inputs_of(run):
    return {tag.value: entry.dataset for entry in run.inputs.dataset_inputs for tag in entry.tags}


def test_the_experiment_offers_views_and_says_what_is_newest(job, runs):
    tags = job.client.get_experiment(runs.experiment.info.experiment_id).tags
    views = [json.loads(value)["name"] for name, value in tags.items() if name.startswith(PREFIX)]
    assert len(views) == 4
    told = tags[MLFLOW_RUN_NOTE]
    assert all(f"[{name}](#/experiments/" in told for name in views)
    assert f"/runs/{runs.experiment.info.run_id}" in told


def test_each_description_holds_its_table_and_leads_to_what_is_there(job, runs):
    told = runs.experiment.data.tags[MLFLOW_RUN_NOTE]
    assert told.startswith("**")
    assert told.endswith(MARK)
    assert job.settings["description"] in told
    for name, run in runs.backbones.items():
        assert f"| {name}" in told
        assert f"/runs/{run.info.run_id}" in told
        own = run.data.tags[MLFLOW_RUN_NOTE]
        assert own.startswith(f"**{name}: ")
        assert f"/runs/{runs.experiment.info.run_id}/artifacts/report.html" in own
    for run in (runs.experiment, *runs.backbones.values()):
        held = {path.split("/")[0] for path in tree(job.client, run)}
        note, mine = run.data.tags[MLFLOW_RUN_NOTE], f"/runs/{run.info.run_id}/artifacts/"
        linked = [part.split("?")[0] for part in note.split(mine)[1:]]
        assert linked
        assert set(linked) <= held


def test_the_settings_that_runs_are_compared_by_leave_out_what_says_nothing(runs):
    params = runs.experiment.data.params
    assert "description" not in params
    assert {name for name in params if name.startswith("backbones.vgg16")} == {"backbones.vgg16.size"}


def test_every_run_names_its_images(job, runs):
    for run in (runs.experiment, *runs.backbones.values()):
        assert inputs_of(run)["cross-validation"].digest == job.result.data_digest[:32]
    in_folds = len(table(job.client, runs.backbones["ncnn"], "oof_predictions.parquet"))
    for (_, fold), run in runs.folds.items():
        found = inputs_of(run)
        rows = {context: json.loads(part.profile)["num_rows"] for context, part in found.items()}
        assert set(rows) == {"training", "validation", "testing"}
        assert sum(rows.values()) == in_folds
        others = (inputs_of(other) for (_, number), other in runs.folds.items() if number == fold)
        assert {other["testing"].digest for other in others} == {found["testing"].digest}


def test_runs_of_one_experiment_are_found_by_it_and_those_of_a_backbone_have_one_colour(runs):
    below = [*runs.backbones.values(), *runs.folds.values()]
    assert {run.data.tags["foldcam.experiment_run"] for run in below} == {runs.experiment.info.run_id}
    colours = {(run.data.tags["foldcam.backbone"], run.data.tags["mlflow.runColor"]) for run in below}
    assert len(colours) == len({colour for _, colour in colours}) == 2


def test_a_backbones_mistakes_and_its_contact_sheet_are_where_mlflow_shows_pictures(job, runs):
    for run in runs.backbones.values():
        oof = table(job.client, run, "oof_predictions.parquet").set_index("path")
        wrong = oof[oof["true"] != oof["predicted"]]
        tags = run.data.tags
        assert tags[MLFLOW_LOGGED_IMAGES] == "True"
        if wrong.empty:
            continue
        assert [entry["path"] for entry in json.loads(tags[MLFLOW_LOGGED_ARTIFACTS])] == ["mistakes.json"]
        shown = pd.read_json(artifact(job.client, run, "mistakes.json"), orient="split")
        assert set(shown["image"]) <= set(wrong.index)
        assert len(shown) == min(24, len(wrong))
        assert shown["confidence in %"].is_monotonic_decreasing
        held = set(tree(job.client, run))
        assert {cell["filepath"] for cell in shown["picture"]} <= held


def test_the_experiment_repeats_its_best_backbones_figures(job, runs):
    metric = job.result.metric
    best, own = runs.backbones[job.result.ranking[0]].data.metrics, runs.experiment.data.metrics
    assert runs.experiment.data.tags["best_backbone"] == job.result.ranking[0]
    assert own[f"best/oof/{metric}"] == pytest.approx(best[f"oof/{metric}"])
    for part in ("mean", "ci_low", "ci_high"):
        assert own[f"best/cv/{metric}_{part}"] == pytest.approx(best[f"cv/{metric}_{part}"])
