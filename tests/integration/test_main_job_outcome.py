"""What the main job gives its caller, and what Prefect's pages show of it."""

from __future__ import annotations

import json

from tests.support.flow_runs import artifacts, flow_runs, task_runs

BACKBONES = ["ncnn", "vgg16"]
N_FOLDS = 3


def test_the_result_gives_data_frames_and_the_promised_json(job):
    answer = json.loads(json.dumps(job.result.to_json(), allow_nan=False))
    promised = ["experiment", "experiment_run_id", "status", "data_digest", "backbones", "ranking", "comparison"]
    promised += ["champion", "report", "seconds"]
    assert list(answer) == promised
    own = answer["backbones"]["vgg16"]
    assert sorted(own) == ["folds", "metrics", "run_id"]
    assert list(own["metrics"]["accuracy"]) == ["mean", "std", "ci_low", "ci_high", "folds"]
    assert sorted(own["folds"][0]) == ["error", "fold", "run_id", "seconds", "status"]
    assert len(job.result.metrics) == 6
    assert len(job.result.out_of_fold) == 25 * 2
    assert list(job.result.runs["fold"]) == [0, 1, 2] * 2


def test_prefect_shows_a_completed_flow_run_with_named_task_runs(job):
    flow_run = flow_runs("main job")[0]
    found = task_runs(flow_run.id)
    assert flow_run.state.type.value == "COMPLETED"
    assert {run.name for run in found if run.name.startswith("run-fold")} == {
        f"run-fold {backbone}/{fold}" for backbone in BACKBONES for fold in range(N_FOLDS)
    }
    assert {run.state.type.value for run in found} == {"COMPLETED"}


def test_prefect_shows_the_comparison_and_a_link_to_mlflow(job):
    found = artifacts(flow_runs("main job")[0].id)
    rows = json.loads(found["comparison"].data)
    assert [row["backbone"] for row in rows] == job.result.ranking
    assert job.result.experiment_run_id in found["mlflow-run"].data
    assert job.studio.tracking_uri in found["mlflow-run"].data
