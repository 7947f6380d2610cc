from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tasks.explanation.gradcam import GradCam
from tasks.explanation.sanity import Checked, randomisation_curve, randomisation_curves

N = 8


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    image = keras.Input((12, 12, 3))
    x = layers.Conv2D(6, 3, activation="relu", padding="same")(image)
    x = layers.Conv2D(6, 3, activation="relu", padding="same", name="cam")(x)
    x = layers.Dense(2, name="logits")(layers.Flatten()(x))
    return keras.Model(image, layers.Softmax(name="probabilities")(x))


@pytest.fixture(scope="module")
def explain(model):
    images = np.random.default_rng(0).uniform(0, 1, (N, 12, 12, 3)).astype(np.float32)
    method = GradCam(model, "cam")
    return lambda: method(images, np.zeros(N, int))[1]


def bits(model):
    return [weight.numpy().tobytes() for weight in model.weights]


def test_methods_together_get_the_curves_that_each_gets_alone(model, explain):
    before = bits(model)
    together = randomisation_curves(model, {"a": Checked(explain), "b": Checked(explain)}, max_stages=3, seed=5)
    alone = randomisation_curve(model, explain, max_stages=3, seed=5)
    assert bits(model) == before
    for curve in together.values():
        assert curve.table.equals(alone.table)
        assert curve.passes == alone.passes == 4 * N


def test_the_last_stage_alone_is_that_of_the_whole_curve(model, explain):
    whole = randomisation_curve(model, explain, max_stages=3, seed=5)
    known = Checked(explain, intact=explain(), every_stage=False)
    short = randomisation_curves(model, {"": known}, max_stages=3, seed=5)[""]
    assert short.table["stage"].tolist() == [0, 3]
    assert short.table.iloc[-1].equals(whole.table.iloc[-1])
    assert short.passes == N
    np.testing.assert_array_equal(short.rank, whole.rank)
    assert short.rank.mean() == pytest.approx(whole.table["rank"].iloc[-1])
    assert short.ssim.mean() == pytest.approx(whole.table["ssim"].iloc[-1])


def test_an_image_without_a_map_has_no_value(model, explain):
    def partly():
        maps = explain()
        maps[2] = 0
        return maps

    curve = randomisation_curve(model, partly, seed=5)
    assert np.flatnonzero(np.isnan(curve.rank)).tolist() == [2]
    assert np.flatnonzero(np.isnan(curve.ssim)).tolist() == [2]
    assert curve.n_images == N - 1


def test_weights_come_back_when_a_method_fails(model, explain):
    before, calls = bits(model), []

    def fails():
        calls.append(0)
        if len(calls) > 2:
            raise RuntimeError("broken")
        return explain()

    with pytest.raises(RuntimeError, match="broken"):
        randomisation_curves(model, {"a": Checked(explain), "b": Checked(fails)}, max_stages=3)
    assert bits(model) == before
