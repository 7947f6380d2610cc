from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.exceptions import MlflowException

from tasks.config import Preprocessing
from tasks.dataset.pixels.images import shaping_of
from tasks.dataset.pixels.shaping import shape
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import activated, class_probabilities, decide
from tasks.tracking import logged_model
from tasks.tracking.records import Metrics, Model
from tasks.tracking.writer import Writer

CLASSES = ("blässlich rot", "grün", "b/lau")
BLACK = np.zeros((1, 6, 6, 3), np.uint8)


@pytest.fixture
def network(tmp_path):
    """A network that gives the shares of red, green and blue in an image of 6 pixels."""
    images = keras.Input((6, 6, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    scores = keras.layers.Dense(3, kernel_initializer=keras.initializers.Identity(9), name="logits")(pooled)
    model = keras.Model(images, keras.layers.Softmax()(scores))
    model.save(tmp_path / "network.keras")
    return tmp_path / "network.keras"


@pytest.fixture
def written(uri, run_id, client):
    """Write records and give the run as the store has it."""

    def write(*records):
        Writer(uri, run_id).write(records)
        return client.get_run(run_id)

    return write


def model_of(network, example=BLACK, params=None, metrics=None):
    return Model(network, Targets(CLASSES), [], Preprocessing(), 6, example, params or {}, metrics or {})


def folder_of(client, run) -> Path:
    [output] = run.outputs.model_outputs
    return Path(urlsplit(client.get_logged_model(output.model_id).artifact_location).path)


def test_a_model_predicts_after_loading_by_class_name_from_raw_images(written, run_id, network):
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 7, 3), dtype=np.uint8)
    run = written(model_of(network, images[:2]))
    network.unlink()
    [output] = run.outputs.model_outputs
    for address in (f"runs:/{run_id}/model", f"models:/{output.model_id}"):
        served = mlflow.pyfunc.load_model(address)
        answer = served.predict(images)
        assert list(answer.columns) == list(CLASSES)
        assert answer.shape == (5, 3)
        np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)
    red = BLACK.copy()
    red[..., 0] = 200
    assert served.predict(red).idxmax(axis=1).tolist() == ["blässlich rot"]
    np.testing.assert_array_equal(served.input_example, images[:2])


def test_the_signature_and_the_example_suit_the_server_of_mlflow(written, run_id, network):
    example = np.random.default_rng(0).integers(0, 256, (2, 9, 7, 3), dtype=np.uint8)
    written(model_of(network, example))
    address = f"runs:/{run_id}/model"
    signature = mlflow.models.get_model_info(address).signature
    assert signature.inputs.inputs[0].shape == (-1, -1, -1, 3)
    assert signature.outputs.input_names() == list(CLASSES)
    payload = Path(mlflow.artifacts.download_artifacts(address)) / "serving_input_example.json"
    mlflow.models.predict(address, input_path=str(payload), output_path="answer.json", env_manager="local")
    answer = pd.DataFrame(json.loads(Path("answer.json").read_text())["predictions"])
    np.testing.assert_allclose(answer, mlflow.pyfunc.load_model(address).predict(example), atol=1e-6)


def test_the_models_page_shows_its_settings_and_its_scores(written, client, network):
    run = written(model_of(network, params={"backbone": "ncnn", "seed": 3}, metrics={"test/accuracy": 0.5}))
    [output] = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, logged.status, logged.source_run_id) == ("model", "READY", run.info.run_id)
    assert logged.params == {"backbone": "ncnn", "seed": "3"}
    assert {metric.key: metric.value for metric in logged.metrics} == {"test/accuracy": 0.5}
    assert run.data.metrics == {"test/accuracy": 0.5}


def test_the_description_names_the_run_the_model_and_the_size_of_its_files(written, client, network):
    run = written(model_of(network))
    folder = folder_of(client, run)
    about = yaml.safe_load((folder / "MLmodel").read_text())
    [output] = run.outputs.model_outputs
    assert (about["run_id"], about["model_id"]) == (run.info.run_id, output.model_id)
    described = ("MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt")
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file() and file.name not in described]
    assert about["model_size_bytes"] == sum(sizes)
    needed = (folder / "requirements.txt").read_text().splitlines()
    assert f"keras=={keras.__version__}" in needed


def test_a_store_on_the_same_disk_takes_the_network_without_a_copy(written, client, network):
    assert (folder_of(client, written(model_of(network))) / "artifacts" / "network.keras").samefile(network)


def test_a_store_on_another_disk_gets_a_copy(written, client, network, monkeypatch):
    def refuse(*_):
        raise OSError("Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    copy = folder_of(client, written(model_of(network))) / "artifacts" / "network.keras"
    assert not copy.samefile(network)
    assert copy.read_bytes() == network.read_bytes()


def test_writing_a_model_leaves_no_run_active_and_the_run_open_for_more(written, network):
    run = written(model_of(network), Metrics({"seconds/log": 1.0}))
    assert mlflow.active_run() is None
    assert run.data.metrics == {"seconds/log": 1.0}
    assert run.info.status == "RUNNING"


def test_a_model_whose_files_cannot_be_written_is_marked_as_failed(written, client, runs, run_id, network):
    network.unlink()
    with pytest.raises(FileNotFoundError):
        written(model_of(network))
    [left] = client.search_logged_models([runs.experiment_id])
    assert left.status == "FAILED"
    assert not Path(urlsplit(left.artifact_location).path).exists()
    assert client.get_run(run_id).outputs.model_outputs == []


def test_an_example_that_is_no_batch_of_images_is_refused(written, network):
    with pytest.raises(MlflowException, match="does not match the model signature"):
        written(model_of(network, BLACK[0]))


def test_a_users_own_project_files_stay_out_of_the_model(written, client, network):
    for name in ("pyproject.toml", "uv.lock"):
        Path(name).write_text("[project]\nname = 'private'\n")
    folder = folder_of(client, written(model_of(network)))
    assert not {"pyproject.toml", "uv.lock"} & {file.name for file in folder.rglob("*")}


def test_mlflow_has_nothing_to_warn_of(written, network):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        written(model_of(network))
    assert [str(warning.message) for warning in seen if "ype hint" in str(warning.message)] == []


def test_the_build_of_tensorflow_that_is_installed_is_required():
    import tensorflow as tf

    assert logged_model.tensorflow_version() == tf.__version__


ELSEWHERE = """
import json, sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tasks", "flows"):
            raise ImportError(f"{name} is not installed here")

sys.meta_path.insert(0, Refused())
import mlflow, numpy as np
images = np.load(sys.argv[1])
answers = []
for folder in sys.argv[2:]:
    served = mlflow.pyfunc.load_model(folder)
    found = served.predict(images)
    decided = served.predict(images, params={"decide": True})
    answers.append([found.columns.tolist(), found.to_numpy().tolist(), decided["predicted"].tolist()])
assert not any(name.split(".")[0] in ("tasks", "flows") for name in sys.modules)
print(json.dumps(answers))
"""
"""Loads models as a program does on whose machine foldcam is not installed."""


def sigmoids(path):
    """Save a network with one sigmoid a colour, and give another that ends with its logits."""
    images = keras.Input((6, 6, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    identity, bias = keras.initializers.Identity(9), keras.initializers.Constant(-2.5)
    logits = keras.layers.Dense(3, kernel_initializer=identity, bias_initializer=bias)(pooled)
    keras.Model(images, keras.layers.Activation("sigmoid")(logits)).save(path)
    return keras.Model(images, logits)


def test_without_foldcam_a_model_answers_as_its_fold_run_did(uri, client, runs, tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 16, (8, 9, 14, 3), dtype=np.uint8) + rng.integers(0, 240, (8, 1, 1, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    network, logits = tmp_path / "network.keras", sigmoids(tmp_path / "network.keras")
    steps = Preprocessing(resize="pad", pad_color="#40a010", mask="circle")
    several, grades = Targets(CLASSES, "multilabel", " + ", "keine"), Targets(CLASSES, "ordinal")
    kinds, folders = [(several, [0.4, 0.6, 0.35]), (grades, [])], []
    for number, (targets, thresholds) in enumerate(kinds):
        run_id = runs.start("fold", f"ncnn/{number}", parent=None, tags={})
        Writer(uri, run_id).write([Model(network, targets, thresholds, steps, 6, images[:2], {}, {})])
        folders.append(folder_of(client, client.get_run(run_id)))
    command = [sys.executable, "-c", ELSEWHERE, tmp_path / "images.npy", *folders]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = np.stack([shape(image, 6, shaping_of(steps)) for image in images]).astype(np.float32)
    for (targets, thresholds), answer in zip(kinds, json.loads(done.stdout), strict=True):
        columns, found, texts = answer
        probabilities = class_probabilities(activated(logits(seen).numpy(), targets.kind), targets.kind)
        assert columns == list(CLASSES)
        np.testing.assert_allclose(found, probabilities, rtol=0, atol=1e-6)
        assert texts == targets.texts(decide(probabilities, targets.kind, thresholds))
        assert len(set(texts)) > 1
