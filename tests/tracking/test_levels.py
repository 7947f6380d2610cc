from __future__ import annotations

import numpy as np

from tasks.config import Preprocessing
from tasks.dataset.targets import Targets
from tasks.tracking.levels import flattened, fold_content
from tasks.tracking.records import File, Folder, Metrics, Model, Params

TARGETS, CROPPED = Targets(("a", "b"), "multilabel"), Preprocessing(resize="crop")


def test_nested_settings_become_one_level_and_lists_stay_whole():
    settings = {"name": "a", "training": {"epochs": 3, "optimizer": {"name": "sgd"}}, "units": [1, 2], "own": {}}
    assert flattened(settings) == {
        "name": "a",
        "training.epochs": 3,
        "training.optimizer.name": "sgd",
        "units": [1, 2],
        "own": {},
    }
    assert flattened({"x": 1}, "model.") == {"model.x": 1}


def content(folder):
    return list(
        fold_content(
            folder,
            metrics={"accuracy": 0.5},
            explained={"explain/gradcam/overall": 0.1},
            seconds={"train": 2.0},
            peak_memory_mb=700.5,
            params={"backbone": "ncnn", "fold": 1},
            targets=TARGETS,
            thresholds=[0.4, 0.6],
            preprocessing=CROPPED,
            size=34,
            example=np.zeros((1, 3, 3, 3), np.uint8),
        )
    )


def test_a_fold_runs_content_is_what_lies_in_its_folder(tmp_path):
    for name in ("predictions.parquet", "history.csv", "network.keras", "scratch.tmp"):
        (tmp_path / name).touch()
    (tmp_path / "plots").mkdir()
    records = content(tmp_path)
    assert records[0] == Params({"backbone": "ncnn", "fold": 1})
    assert [r.path.name for r in records if isinstance(r, File)] == ["predictions.parquet", "history.csv"]
    assert [(r.path, r.name) for r in records if isinstance(r, Folder)] == [(tmp_path / "plots", "plots")]
    [model] = [r for r in records if isinstance(r, Model)]
    assert (model.keras_file, model.targets, model.size) == (tmp_path / "network.keras", TARGETS, 34)
    assert (model.thresholds, model.preprocessing) == ([0.4, 0.6], CROPPED)
    assert (model.params, model.metrics) == ({"backbone": "ncnn", "fold": 1}, {"test/accuracy": 0.5})
    assert records[-1] == Metrics({"seconds/train": 2.0})
    assert Metrics({"explain/gradcam/overall": 0.1}) in records
    assert Metrics({"cost/peak_memory_mb": 700.5}) in records


def test_holdout_and_pictures_are_added_where_there_are_any(tmp_path):
    (tmp_path / "holdout_predictions.parquet").touch()
    (tmp_path / "explanations").mkdir()
    records = content(tmp_path)
    assert [r.path.name for r in records if isinstance(r, File)] == ["holdout_predictions.parquet"]
    assert [r.name for r in records if isinstance(r, Folder)] == ["explanations"]
