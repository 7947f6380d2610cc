"""The champion of the main job, whose store is a real server: files go there and come back over HTTP."""

from __future__ import annotations

import mlflow
import numpy as np

from tasks.tracking.models import find_model
from tests.support.images import picture


def test_the_best_backbone_is_registered_on_the_server_and_answers_from_there(job, tmp_path):
    found = job.result.champion
    assert (found["model"], found["version"], found["is_champion"]) == ("main job", "1", True), found
    assert found["title"] in {job.result.ranking[0], "ncnn + vgg16", "vgg16 + ncnn"}
    mlflow.set_tracking_uri(job.studio.tracking_uri)
    model = mlflow.pyfunc.load_model("models:/main job@champion")
    pictures = np.stack([picture(kind, 50 + kind) for kind in range(3)])
    answers = model.predict(pictures, params={"explain": True})
    assert set(answers["label"]) <= {"gesund", "kräftig rot", "Öl Fleck"}
    columns = ["prob/gesund", "prob/kräftig rot", "prob/Öl Fleck"]
    np.testing.assert_allclose(answers[columns].sum(axis=1), 1)
    assert answers["overlay"].str.len().min() > 100
    assert find_model(job.client, "models:/main job@champion", tmp_path).folder.is_dir()
