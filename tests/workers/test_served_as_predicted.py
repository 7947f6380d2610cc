"""A fold run's logged model, given the test pictures as they are, answers as the fold run did."""

from __future__ import annotations

from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from PIL import Image

from tests.support.images import picture

LABELS = ["healthy", "rust", "scab", "rust scab"]


def write_images(root):
    """Write wide pictures of four kinds, and a table of their labels and folds."""
    root.mkdir()
    for number in range(16):
        Image.fromarray(picture(number % 4, number, (32, 48))).save(root / f"{number:02d}.png")
    names = [f"{number:02d}.png" for number in range(16)]
    folds = [number // 4 % 2 for number in range(16)]
    pd.DataFrame({"image": names, "label": LABELS * 4, "fold": folds}).to_csv(root / "labels.csv", index=False)
    return root


def test_the_logged_model_gives_the_fold_runs_own_probabilities_and_decisions(pool, planned, store, new_run, tmp_path):
    root = write_images(tmp_path / "data")
    plan = planned(
        root,
        tmp_path / "cache",
        data={
            "labels": {"kind": "multilabel", "none_label": "healthy"},
            "preprocessing": {"resize": "crop", "mask": "circle"},
        },
        evaluation={"thresholds": {"rust": 0.45, "scab": 0.55}},
        training={"epochs": 1},
    )
    run_id = new_run()
    pool.do(plan.order("fold", ("ncnn", 0), store, run_id), lambda _: None, timeout=600)
    run = MlflowClient(store).get_run(run_id)
    predictions = pd.read_parquet(Path(run.info.artifact_uri) / "predictions.parquet")
    mlflow.set_tracking_uri(store)
    served = mlflow.pyfunc.load_model(f"runs:/{run_id}/model")
    pictures = np.stack([np.asarray(Image.open(root / path).convert("RGB")) for path in predictions["path"]])
    columns = [f"prob/{label}" for label in plan.manifest.classes]
    np.testing.assert_allclose(served.predict(pictures), predictions[columns], rtol=0, atol=1e-6)
    decided = served.predict(pictures, params={"decide": True})
    assert decided["predicted"].tolist() == predictions["predicted"].tolist()
    assert len(predictions) == 8
