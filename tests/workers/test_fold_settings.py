from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from PIL import Image

SETTINGS = {
    "backbones": {"ncnn": {"freeze": "base"}},
    "training": {
        "epochs": 3,
        "batch_size": 4,
        "early_stopping_patience": None,
        "augmentation": {"rotation": 15, "brightness": 0.1, "mode": "cached", "variants": 2},
    },
    "cache": {"feature_dtype": "float16"},
    "explanation": {"max_images": None, "contact_sheet_images": 4, "format": "jpeg", "faithfulness_images": 0},
}


@pytest.fixture(scope="module")
def done(pool, planned, images, store, new_run, tmp_path_factory):
    """A fold run from rounded features of fixed variants with JPEG overlays, and what preparing it told."""
    plan = planned(images, tmp_path_factory.mktemp("cache"), **SETTINGS)
    prepared = pool.do(plan.order("features", ("ncnn", -1)), lambda _: None, timeout=600)
    run_id = new_run()
    pool.do(plan.order("fold", ("ncnn", 0), store, run_id), lambda _: None, timeout=600)
    run = MlflowClient(store).get_run(run_id)
    return prepared, run.data.params, Path(run.info.artifact_uri)


def test_what_is_trained_from_and_its_rounding_stand_in_the_params_and_are_told_beforehand(done):
    prepared, params, _ = done
    said = "frozen features at head_flatten in float16, 2 fixed variants of each image"
    assert params["trains_from"] == prepared["trains_from"] == said
    assert params["features_error"] == prepared["features_error"]
    assert 0 < float(params["features_error"].split()[0]) < 2**-10
    assert prepared["images"] == 16


def test_overlays_are_jpeg_files_of_the_pictures_sizes(done):
    folder = done[2]
    files = [file for file in (folder / "explanations" / "gradcam").glob("*/*") if file.is_file()]
    assert len(files) == len(pd.read_parquet(folder / "predictions.parquet"))
    for file in files:
        with Image.open(file) as picture:
            assert (picture.format, file.suffix) == ("JPEG", ".jpg")


def test_the_history_is_of_all_epochs(done):
    history = pd.read_csv(done[2] / "history.csv")
    assert len(history) == 3
    assert np.isfinite(history["val/loss"]).all()
