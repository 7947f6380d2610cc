from __future__ import annotations

import shutil
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from mlflow.entities import ViewType
from PIL import Image

from flows.cross_validate import cross_validate
from tasks.experiment_file import read_experiment
from tests.support.images import write_classes
from tests.support.kept_workers import kept_workers
from tests.support.studio import quick

CELLS = [("ncnn", 0), ("ncnn", 1), ("vgg16", 0), ("vgg16", 1)]


@pytest.fixture(scope="module")
def steps(studio):
    """One experiment called again and again: done, the same again, one fold run deleted, all of it afresh."""
    write_classes(studio.folder / "images", {"down": 8, "across": 8})
    augmented = {"augmentation": {"horizontal_flip": True, "rotation": 10, "brightness": 0.1}}
    own = {"ncnn": {"size": 34, "freeze": "none", "training": augmented}, "vgg16": {"size": 32}}
    explanation = {"max_images": 4, "contact_sheet_images": 3, "format": "jpeg", "faithfulness_images": 2}
    changes = {"training": {"epochs": 2, "batch_size": 4}, "runner": {"workers": 2}, "explanation": explanation}
    file = studio.write(quick("images", backbones=own, **changes))
    found = SimpleNamespace(studio=studio)
    with studio.inside(), kept_workers():
        started = time.monotonic()
        found.first = cross_validate(file)
        found.first_seconds = time.monotonic() - started
        found.histories = histories(studio, found.first)
        started = time.monotonic()
        found.again = cross_validate(file)
        found.seconds = time.monotonic() - started
        studio.client.delete_run(run_ids(found.first)["ncnn", 1])
        found.mended = cross_validate(file)
    with studio.inside():
        shutil.rmtree(studio.folder / "cache")
        found.fresh = cross_validate(read_experiment(file, ["runner.workers=1"]), fresh=True)
    return found


def run_ids(result):
    return {(fold.backbone, fold.fold): fold.run_id for own in result.backbones.values() for fold in own.folds}


def statuses(result):
    return {(fold.backbone, fold.fold): fold.status for own in result.backbones.values() for fold in own.folds}


def metrics(result):
    return {(fold.backbone, fold.fold): dict(fold.metrics) for own in result.backbones.values() for fold in own.folds}


def histories(studio, result):
    """The fits' figures, epoch by epoch, but for their seconds."""
    return {
        cell: pd.read_csv(studio.client.download_artifacts(run_id, "history.csv")).drop(columns="seconds").to_dict()
        for cell, run_id in run_ids(result).items()
    }


def test_the_same_again_reuses_every_fold_run(steps):
    assert statuses(steps.first) == dict.fromkeys(CELLS, "completed")
    assert statuses(steps.again) == dict.fromkeys(CELLS, "reused")
    assert run_ids(steps.again) == run_ids(steps.first)
    assert steps.again.experiment_run_id == steps.first.experiment_run_id
    assert steps.again.status == "completed"


def test_the_comparison_is_recalled_as_it_was_recorded(steps):
    first, again = steps.first, steps.again
    assert first.comparison is not None
    assert again.comparison == first.comparison
    assert "on pooled out-of-fold predictions" in first.comparison["verdict"][0]
    assert first.to_json()["comparison"] == first.comparison
    whole = steps.studio.client.get_run(first.experiment_run_id).data.metrics
    for name, own in first.backbones.items():
        assert again.backbones[name].pooled == own.pooled
        logged = steps.studio.client.get_run(own.run_id).data.metrics
        for found in (score for score in first.comparison["scores"] if score["model"] == name):
            for end in ("low", "high"):  # neither where all draws give one value, which says nothing of the spread
                assert logged.get(f"oof/{found['metric']}_ci_{end}") == found[end]
                assert whole.get(f"{name}/oof/{found['metric']}_ci_{end}") == found[end]
    assert any(score["low"] is not None for score in first.comparison["scores"])


def test_contact_sheets_are_made_of_overlays_in_the_format_that_is_set(steps):
    client, result = steps.studio.client, steps.first
    for fold in (fold for own in result.backbones.values() for fold in own.folds):
        below = "explanations/gradcam"
        sides = [side.path for side in client.list_artifacts(fold.run_id, below)]
        names = [file.path for side in sides for file in client.list_artifacts(fold.run_id, side)]
        assert len(names) >= 4
        assert all(name.endswith(".jpg") for name in names)
    for run_id in (result.experiment_run_id, *(own.run_id for own in result.backbones.values())):
        sheet = np.asarray(Image.open(client.download_artifacts(run_id, "contact_sheet.png")).convert("RGB"))
        assert (sheet.std(axis=2) > 20).mean() > 0.01  # the colours of overlays; frame and text are grey


def test_reuse_takes_no_training_time(steps):
    assert steps.seconds < steps.first_seconds / 3


def test_what_is_reused_is_what_was_found(steps):
    assert metrics(steps.again) == metrics(steps.first)
    assert steps.again.ranking == steps.first.ranking
    pd.testing.assert_frame_equal(steps.again.out_of_fold, steps.first.out_of_fold)
    assert (
        steps.again.to_json()["backbones"]["ncnn"]["metrics"] == steps.first.to_json()["backbones"]["ncnn"]["metrics"]
    )


def test_a_deleted_fold_run_is_done_again_alone_with_the_same_metrics(steps):
    assert statuses(steps.mended) == dict.fromkeys(CELLS, "reused") | {("ncnn", 1): "completed"}
    assert metrics(steps.mended) == metrics(steps.first)
    assert run_ids(steps.mended)["ncnn", 1] != run_ids(steps.first)["ncnn", 1]
    assert steps.mended.experiment_run_id == steps.first.experiment_run_id
    pd.testing.assert_frame_equal(steps.mended.out_of_fold, steps.first.out_of_fold)


def test_fresh_does_everything_again(steps):
    assert statuses(steps.fresh) == dict.fromkeys(CELLS, "completed")
    assert not set(run_ids(steps.fresh).values()) & set(run_ids(steps.mended).values())


def test_one_worker_and_two_give_the_same_figures_to_the_last_bit(steps):
    assert metrics(steps.fresh) == metrics(steps.first)
    pd.testing.assert_frame_equal(steps.fresh.out_of_fold, steps.first.out_of_fold, check_exact=True)


def test_one_worker_and_two_give_the_same_fit_to_the_last_bit(steps):
    assert histories(steps.studio, steps.fresh) == steps.histories


def test_nothing_is_left_running(steps):
    client = steps.studio.client
    experiments = [found.experiment_id for found in client.search_experiments()]
    assert client.search_runs(experiments, "attributes.status = 'RUNNING'", ViewType.ALL) == []


def test_folds_differ_from_one_another(steps):
    assert metrics(steps.first)["ncnn", 0] != metrics(steps.first)["ncnn", 1]


def test_a_changed_setting_is_another_fold_run(steps):
    file = steps.studio.folder / "experiment.yaml"
    from tasks.planning import load_plan

    with steps.studio.inside():
        plan = load_plan(read_experiment(file))
        other = load_plan(read_experiment(file, ["training.batch_size=5"]))
        runner = load_plan(read_experiment(file, ["runner.workers=7", "cache.max_gb=3"]))
        one = load_plan(read_experiment(file, ["backbones.vgg16.size=33"]))
    assert not set(plan.fingerprints.values()) & set(other.fingerprints.values())
    assert plan.fingerprints == runner.fingerprints
    assert {cell for cell in CELLS if plan.fingerprints[cell] != one.fingerprints[cell]} == {("vgg16", 0), ("vgg16", 1)}
