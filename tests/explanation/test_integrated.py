"""Integrated gradients: exact where the model is linear, complete elsewhere."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tasks.backbones.build import build_model
from tasks.config import InputError
from tasks.evaluation.outputs import class_scores
from tasks.explanation.integrated import IntegratedGradients
from tests.support.explained_nets import (
    SHAPE,
    close,
    curved_net,
    images,
    linear_net,
    linear_slopes,
    logits_of,
    slopes_of,
)

IMAGES = images()
MIXED = np.array([2, 0, 1, 2])
GIVEN = np.random.default_rng(1).uniform(0, 255, SHAPE)

BASELINES = {
    "black": np.zeros_like,
    "white": lambda image: np.full(image.shape, 255.0),
    "mean": lambda image: np.broadcast_to(image.mean(axis=(0, 1)), SHAPE),
    "blur": lambda image: np.stack([gaussian_filter(image[..., i], 100 / 224, mode="nearest") for i in range(3)], -1),
}


@pytest.fixture(scope="module")
def net():
    return curved_net()


@pytest.mark.parametrize("baseline", [*BASELINES, "given"])
def test_those_of_a_linear_model_are_exact_after_one_step(baseline):
    model = linear_net()
    slopes, given = linear_slopes(model), GIVEN if baseline == "given" else baseline
    found = IntegratedGradients(model, baseline=given, steps=1).attributions(IMAGES, MIXED)
    for i, target in enumerate(MIXED):
        start = GIVEN if baseline == "given" else BASELINES[baseline](IMAGES[i])
        expected = slopes[target] * (IMAGES[i] - start)
        close(found.attributions[i], expected, 1e-5)
        close(found.maps[i], expected.sum(axis=-1), 1e-5)
        scores = logits_of(model, np.stack([IMAGES[i], start]))[:, target]
        np.testing.assert_allclose(found.differences[i], scores[0] - scores[1], atol=1e-5)
    assert found.attributions.dtype == found.maps.dtype == np.float32
    assert found.gaps.max() < 1e-4
    assert found.maps.min() < 0 < found.maps.max()


def test_they_are_the_trapezoid_rule_of_a_slow_loop(net):
    explain = IntegratedGradients(net, steps=7, batch=3, baseline="white")
    found = explain.attributions(IMAGES, MIXED)
    for i, target in enumerate(MIXED):
        way = IMAGES[i] - 255
        slopes = [slopes_of(net, 255 + place * way, target) for place in np.linspace(0, 1, 8)]
        expected = way * np.trapezoid(slopes, dx=1 / 7, axis=0)
        close(found.attributions[i], expected)
        difference = np.subtract(*logits_of(net, np.stack([IMAGES[i], np.full(SHAPE, 255)]))[:, target])
        np.testing.assert_allclose(found.differences[i], difference, rtol=1e-4)
        np.testing.assert_allclose(found.gaps[i], abs(expected.sum() / difference - 1), rtol=1e-2, atol=1e-4)
    probabilities, maps = explain(IMAGES, MIXED)
    np.testing.assert_array_equal(maps, found.maps)
    np.testing.assert_allclose(probabilities, net(IMAGES, training=False), atol=1e-6)


def test_more_steps_close_the_gap(net):
    coarse, fine = (IntegratedGradients(net, steps=steps).attributions(IMAGES, MIXED).gaps for steps in (3, 240))
    assert fine.max() < 0.01
    assert fine.mean() < coarse.mean() / 5


# With random weights a deep network gives black and noise nearly the same score, and the gap is a share of that
# difference; a blurred image it tells apart.
@pytest.mark.parametrize(
    ("backbone", "size", "baseline"),
    [
        ("ncnn", 49, "black"),
        ("vgg16", 32, "blur"),
        ("resnet50", 32, "blur"),
        ("senet50", 32, "blur"),
        ("inceptionv3", 75, "blur"),
    ],
)
def test_they_are_complete_within_one_percent_at_240_steps(backbone, size, baseline):
    model = build_model(backbone, n_outputs=3, size=size).model
    pictures = np.random.default_rng(2).uniform(0, 255, (1, size, size, 3))
    found = IntegratedGradients(model, steps=240, baseline=baseline).attributions(pictures)
    assert np.abs(found.differences).min() > 0
    assert found.gaps.max() < 0.01
    np.testing.assert_allclose(found.maps.sum(axis=(1, 2)), found.differences, rtol=0.011)
    keras.backend.clear_session()


def test_one_sigmoid_and_grades_have_maps_of_either_sign():
    single = linear_net(1, "sigmoid")
    explain = IntegratedGradients(single, steps=1)
    against, speaks_for = (explain(IMAGES, np.full(4, target))[1] for target in (0, 1))
    close(speaks_for, (linear_slopes(single)[0] * IMAGES).sum(axis=-1))
    np.testing.assert_array_equal(against, -speaks_for)
    grades = linear_net(3, "sigmoid")
    _, maps = IntegratedGradients(grades, steps=1, class_scores=class_scores("ordinal", 3))(
        IMAGES[:2], np.array([0, 2])
    )
    for found, slope, image in zip(maps, linear_slopes(grades)[[1, 2]] * [[[[-1]]], [[[1]]]], IMAGES, strict=False):
        close(found, (slope * image).sum(axis=-1))


def test_an_image_that_is_its_own_baseline_is_complete_and_has_no_shares(net):
    found = IntegratedGradients(net, steps=2).attributions(np.zeros((1, *SHAPE)))
    np.testing.assert_array_equal(found.maps, np.zeros((1, 12, 10)))
    np.testing.assert_array_equal(found.gaps, [0])


def test_the_gap_is_infinite_where_only_the_difference_is_nothing():
    x = keras.Input(SHAPE)
    y = keras.layers.Flatten()(keras.ops.relu(x - 150.0) - 0.25 * x)
    logits = keras.layers.Dense(1, kernel_initializer="ones", name="logits")(y)
    model = keras.Model(x, keras.layers.Activation("sigmoid")(logits))
    image = np.zeros((1, *SHAPE))
    image[0, 0, 0] = 200.0
    found = IntegratedGradients(model, steps=1).attributions(image, np.array([1]))
    assert found.differences[0] == 0
    np.testing.assert_allclose(found.maps[0, 0, 0], 3 * 200 * 0.25)
    assert found.gaps[0] == np.inf


def test_the_rest_of_the_batch_changes_nothing(net):
    explain = IntegratedGradients(net, steps=5)
    whole = explain.attributions(IMAGES, MIXED)
    for i in range(4):
        alone = explain.attributions(IMAGES[i : i + 1], MIXED[i : i + 1])
        np.testing.assert_array_equal(alone.attributions[0], whole.attributions[i])
        np.testing.assert_array_equal(alone.gaps[0], whole.gaps[i])
    assert explain._slopes.experimental_get_tracing_count() == 1


def test_the_default_target_is_the_predicted_class(net):
    explain = IntegratedGradients(net, steps=3)
    np.testing.assert_array_equal(explain(IMAGES)[1], explain(IMAGES, logits_of(net, IMAGES).argmax(axis=1))[1])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"steps": 0}, "steps"),
        ({"batch": 0}, "batch"),
        ({"baseline": "grey"}, "black, white, mean, blur"),
        ({"steps": 240, "max_passes": 482}, "takes 483 passes"),
    ],
)
def test_settings_out_of_their_range_are_refused(net, settings, told):
    with pytest.raises(InputError, match=told):
        IntegratedGradients(net, **settings)


def test_a_baseline_of_another_shape_is_refused(net):
    with pytest.raises(InputError, match=r"\(10, 12, 3\)"):
        IntegratedGradients(net, baseline=np.zeros((10, 12, 3)))(IMAGES)
