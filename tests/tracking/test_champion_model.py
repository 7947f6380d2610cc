"""The champion around tiny networks whose outputs are known: each kind of labels, and two backbones at once."""

from __future__ import annotations

import base64
import io
import json
import shutil
from importlib.util import find_spec
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image

from tasks.config import Preprocessing
from tasks.evaluation import outputs
from tasks.evaluation.prediction_sets import packed, scores_of
from tasks.explanation.overlays import colour_table
from tasks.tracking.champion_log import TRAVELLING
from tasks.tracking.champion_model import CODE, Champion
from tasks.tracking.network_files import write_networks

SIZE = 10
CLASSES = ["a", "b", "c"]


def network(kind, shift):
    """Give a network whose logits are the shares of red, green and blue, 0 to 1, times 6, less 3, and a shift."""
    images = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 255)(images)
    cam = layers.Conv2D(3, 1, name="cam")
    x = layers.GlobalAveragePooling2D()(cam(x))
    cam.set_weights([np.eye(3).reshape(1, 1, 3, 3), np.zeros(3)])
    dense = layers.Dense(3, name="logits")
    logits = dense(x)
    dense.set_weights([6 * np.eye(3), np.full(3, shift - 3.0)])
    return keras.Model(images, layers.Activation(outputs.ACTIVATIONS[kind], name="probabilities")(logits))


def champion(folder, kind, *, shifts=(0.0, 0.5), backbones=("one",), thresholds=(), scale=1.0, **changes):
    """Load a champion of fold models with these shifts."""
    (folder / "networks").mkdir(parents=True)
    (folder / "code").mkdir()
    for module in TRAVELLING:
        shutil.copy(find_spec(module).origin, folder / "code")
    for name in backbones:
        files = [folder / f"{name}{fold}.keras" for fold in range(len(shifts))]
        for file, shift in zip(files, shifts, strict=True):
            network(kind, shift).save(file)
        write_networks(files, folder / "networks", name)
    own = {"share": 1 / len(backbones), "weights": [scale] * 3, "biases": [0.0] * 3}
    about = {
        "classes": CLASSES,
        "kind": kind,
        "separator": "|",
        "none_label": "none",
        "preprocessing": Preprocessing().model_dump(mode="json"),
        "thresholds": list(thresholds),
        "coverage": 0.9,
        "n_repeats": 1,
        "members": [{"fold": fold, "networks": dict.fromkeys(backbones, own)} for fold in range(len(shifts))],
        "networks": {name: {"size": SIZE, "cam_layer": "cam"} for name in backbones},
        "overlay": {"alpha": 0.4, "colours": colour_table("inferno").tolist()},
    } | changes
    (folder / "about.json").write_text(json.dumps(about))
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (40, 3)) if kind == "multilabel" else rng.integers(0, 3, 40)
    scores = [scores_of(rng.dirichlet((1, 1, 1), 40), y, kind) for _ in shifts]
    np.savez(folder / "scores.npz", **packed(scores))
    files = {"about": "about.json", "code": "code", "networks": "networks", "scores": "scores.npz"}
    model = Champion()
    model.load_context(SimpleNamespace(artifacts={name: str(folder / file) for name, file in files.items()}))
    return model


def coloured(*shares):
    return [np.full((SIZE, 14, 3), 255 * np.array(share)).round().astype(np.uint8) for share in shares]


IMAGES = coloured([0.9, 0.2, 0.4], [0.1, 0.1, 0.2], [0.7, 0.8, 0.2], [0.4, 0.6, 0.9])


def expected(images, kind, shifts=(0.0, 0.5), scale=1.0):
    shares = np.array([image[0, 0] for image in images]) / 255
    members = []
    for shift in shifts:
        raw = outputs.class_probabilities(outputs.activated(6 * shares - 3 + shift, kind), kind)
        members.append(outputs.scaled(raw, kind, [scale] * 3, [0.0] * 3))
    return np.mean(members, axis=0)


def test_the_modules_that_travel_are_those_that_it_loads():
    assert tuple(module.rpartition(".")[2] for module in TRAVELLING) == CODE


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
@pytest.mark.parametrize("scale", [1.0, 0.4])
def test_probabilities_are_the_mean_of_the_scaled_fold_models(tmp_path, kind, scale):
    thresholds = [0.5, 0.6, 0.2] if kind == "multilabel" else []
    found = champion(tmp_path, kind, thresholds=thresholds, scale=scale).predict(None, IMAGES)
    p = expected(IMAGES, kind, scale=scale)
    np.testing.assert_allclose(found[[f"prob/{label}" for label in CLASSES]], p, atol=1e-6)
    decided = outputs.decide(p, kind, thresholds or 0.5)
    if kind != "multilabel":
        assert found["label"].tolist() == [CLASSES[k] for k in decided]
        np.testing.assert_allclose(found["probability"], p[range(4), decided], atol=1e-6)
        return
    texts = ["|".join(label for label, has in zip(CLASSES, own, strict=True) if has) or "none" for own in decided]
    assert found["label"].tolist() == texts
    assert "none" in texts or scale < 1
    np.testing.assert_allclose(found["probability"], np.where(decided, p, 1 - p).min(axis=1), atol=1e-6)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
def test_overlays_and_sets_are_given_for_every_kind(tmp_path, kind):
    model = champion(tmp_path, kind, thresholds=[0.5] * 3 if kind == "multilabel" else [])
    found = model.predict(None, IMAGES, {"explain": True, "one_fold": True})
    sizes = {Image.open(io.BytesIO(base64.b64decode(text))).size for text in found["overlay"]}
    assert sizes == {(14, SIZE)}
    assert all(set(own) <= set(CLASSES) for own in found["prediction_set"])
    assert found["abstains"].dtype == bool
    np.testing.assert_allclose(
        found.loc[[1, 3], [f"output/{label}" for label in CLASSES]], expected(IMAGES, kind, (0.5,))[[1, 3]], atol=1e-6
    )


def test_a_map_lies_where_the_class_is(tmp_path):
    """Red on the left and blue on the right: the overlay of red is brighter on the left."""
    image = np.zeros((20, 20, 3), np.uint8)
    image[:, :10, 0], image[:, 10:, 2] = 255, 120
    found = champion(tmp_path, "multiclass").predict(None, [image], {"explain": True})
    assert found["label"].tolist() == ["a"]
    overlay = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["overlay"][0])))).astype(float)
    laid = overlay - 0.6 * image
    assert laid[:, :8].mean() > 3 * laid[:, 12:].mean()


def test_two_backbones_answer_as_their_mean(tmp_path):
    model = champion(tmp_path, "multiclass", backbones=("one", "two"))
    np.testing.assert_allclose(model.predict(None, IMAGES)["prob/b"], expected(IMAGES, "multiclass")[:, 1], atol=1e-6)
    assert len(model.predict(None, IMAGES, {"explain": True})) == 4


def test_a_server_reads_no_files(tmp_path, monkeypatch):
    model = champion(tmp_path / "model", "multiclass")
    file = tmp_path / "x.png"
    Image.fromarray(IMAGES[0]).save(file)
    assert len(model.predict(None, [str(file)])) == 1
    monkeypatch.setenv("__pyfunc_model_path__", "somewhere")
    found = model.predict(None, [str(file)], {"on_error": "row"})
    assert "served model" in found["error"][0]


@pytest.mark.parametrize("params", [{"batch_size": 0}, {"on_error": "ignore"}])
def test_other_parameters_are_refused(tmp_path, params):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match="must be"):
        champion(tmp_path, "multiclass").predict(None, IMAGES, params)
