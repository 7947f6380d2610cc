"""Fold models of one architecture, written together and read back one by one."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tasks.explanation.gradcam import GradCam
from tasks.tracking.champion_networks import Network
from tasks.tracking.network_files import write_networks

SIZE = 12
IMAGES = np.random.default_rng(0).uniform(0, 255, (5, SIZE, SIZE, 3)).astype(np.float32)


def built(seed, width=4):
    keras.utils.set_random_seed(7)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = layers.Conv2D(width, 3, activation="relu", name="base")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(width, 3, activation="relu", name="cam")(x)
    x = layers.Dropout(0.5)(layers.Flatten()(x))
    keras.utils.set_random_seed(seed)
    logits = layers.Dense(3, name="logits", bias_initializer="normal")(x)
    return keras.Model(inputs, layers.Activation("softmax", name="probabilities")(logits))


@pytest.fixture(scope="module")
def trained():
    """Three models of a common base: of the third the normalisation differs too."""
    models = [built(seed) for seed in range(3)]
    for model in models:
        model.compile("adam", "sparse_categorical_crossentropy")
    models[2].get_layer("norm").moving_mean.assign([0.5, 0.1, 0.0, 0.3])
    return models


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    root = tmp_path_factory.mktemp("networks")
    for number, model in enumerate(trained):
        model.save(root / f"fold{number}.keras")
    (root / "out").mkdir()
    write_networks([root / f"fold{number}.keras" for number in range(3)], root / "out", "tiny")
    return root


def test_each_place_answers_as_its_own_model_in_any_order(folder, trained):
    network = Network(folder / "out", "tiny", "cam")
    for place in (0, 2, 1, 1, 0):
        np.testing.assert_allclose(network.outputs(place, IMAGES), trained[place].predict(IMAGES, verbose=0), atol=1e-6)


def test_what_the_models_have_in_common_is_stored_once(folder):
    with np.load(folder / "out" / "tiny.1.npz") as changes:
        shapes = sorted(changes[name].shape for name in changes.files)
    assert shapes == [(3,), (4,), (256, 3)]
    assert (folder / "out" / "tiny.keras").stat().st_ino == (folder / "fold0.keras").stat().st_ino


@pytest.mark.parametrize("place", [0, 2])
def test_maps_are_grad_cams(folder, trained, place):
    network, targets = Network(folder / "out", "tiny", "cam"), np.array([0, 1, 2, 1, 0])
    maps = network.maps(place, IMAGES, targets, np.eye(3))
    _, expected = GradCam(trained[place], "cam")(IMAGES, targets)
    np.testing.assert_allclose(maps, expected, atol=1e-5)


def test_maps_of_grades_speak_as_their_scores_say(folder, trained):
    scores = np.array([[0, 0, 0], [-1, 1, 0], [0, 0, 1]], np.float32)
    network, targets = Network(folder / "out", "tiny", "cam"), np.zeros(5, int)
    _, expected = GradCam(trained[1], "cam", class_scores=scores)(IMAGES, targets)
    np.testing.assert_allclose(network.maps(1, IMAGES, targets, scores), expected, atol=1e-5)


def test_models_of_another_architecture_are_refused(folder, tmp_path):
    built(0, width=5).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="not of one architecture"):
        write_networks([folder / "fold0.keras", tmp_path / "other.keras"], tmp_path, "tiny")
