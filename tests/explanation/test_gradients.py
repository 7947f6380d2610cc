"""Saliency and SmoothGrad against known slopes and plain loops."""

from __future__ import annotations

import gc
import weakref

import keras
import numpy as np
import pytest

from tasks.config import InputError
from tasks.evaluation.outputs import class_scores
from tasks.explanation.feature_maps import FeatureMaps
from tasks.explanation.gradients import Saliency, SmoothGrad
from tasks.explanation.guided import GuidedBackprop
from tasks.explanation.integrated import IntegratedGradients
from tasks.explanation.perturbation import Occlusion, Rise
from tests.support.explained_nets import (
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


@pytest.fixture(scope="module")
def net():
    return curved_net()


@pytest.mark.parametrize("target", [0, 1, 2])
def test_the_saliency_of_a_linear_model_is_the_amount_of_its_weights(target):
    model = linear_net()
    slopes = linear_slopes(model)[target]
    _, largest = Saliency(model)(IMAGES, np.full(4, target))
    _, norms = Saliency(model, channels="norm")(IMAGES, np.full(4, target))
    assert largest.shape == norms.shape == (4, 12, 10)
    assert largest.dtype == norms.dtype == np.float32
    for i in range(4):
        close(largest[i], np.abs(slopes).max(axis=-1), 1e-6)
        close(norms[i], np.sqrt((slopes**2).sum(axis=-1)), 1e-6)


def test_saliency_is_that_of_a_plain_gradient_image_by_image(net):
    probabilities, maps = Saliency(net)(IMAGES, MIXED)
    for i, target in enumerate(MIXED):
        close(maps[i], np.abs(slopes_of(net, IMAGES[i], target)).max(axis=-1))
    np.testing.assert_allclose(probabilities, net(IMAGES, training=False), atol=1e-6)


@pytest.mark.parametrize("method", [Saliency, SmoothGrad])
def test_the_default_target_is_the_predicted_class(net, method):
    predicted = logits_of(net, IMAGES).argmax(axis=1)
    assert len(set(predicted)) > 1 or predicted[0] != 0
    explain = method(net)
    np.testing.assert_array_equal(explain(IMAGES)[1], explain(IMAGES, predicted)[1])


def test_without_noise_smoothgrad_is_saliency(net):
    probabilities, maps = SmoothGrad(net, n_samples=5, noise=0, batch=2)(IMAGES, MIXED)
    expected = Saliency(net)(IMAGES, MIXED)
    np.testing.assert_allclose(probabilities, expected[0], atol=1e-6)
    close(maps, expected[1])


def test_smoothgrad_is_the_mean_gradient_of_a_slow_loop_over_noisy_copies(net):
    _, maps = SmoothGrad(net, n_samples=5, noise=0.2, seed=3, batch=2)(IMAGES, MIXED)
    for i, target in enumerate(MIXED):
        draws = np.random.default_rng(3).standard_normal((5, *IMAGES[i].shape), dtype=np.float32)
        copies = IMAGES[i] + 0.2 * (IMAGES[i].max() - IMAGES[i].min()) * draws
        mean = np.mean([slopes_of(net, copy, target) for copy in copies], axis=0)
        close(maps[i], np.abs(mean).max(axis=-1))
    assert not np.allclose(maps, Saliency(net)(IMAGES, MIXED)[1], rtol=0, atol=1e-3 * maps.max())


def test_the_seed_decides_the_noise_to_the_bit(net):
    first, again, other = (SmoothGrad(net, n_samples=4, seed=seed)(IMAGES, MIXED)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, rtol=0, atol=1e-3 * first.max())


def test_the_rest_of_the_batch_changes_nothing(net):
    for explain in (Saliency(net), SmoothGrad(net, n_samples=4)):
        probabilities, maps = explain(IMAGES, MIXED)
        singly = [explain(IMAGES[i : i + 1], MIXED[i : i + 1]) for i in range(4)]
        np.testing.assert_allclose(np.concatenate([found for found, _ in singly]), probabilities, atol=1e-6)
        close(np.concatenate([found for _, found in singly]), maps)
        assert explain._slopes.experimental_get_tracing_count() == 1


def test_an_image_of_one_colour_has_no_range_and_so_no_noise(net):
    flat = np.full((1, 12, 10, 3), 90.0)
    close(SmoothGrad(net, n_samples=3)(flat)[1], Saliency(net)(flat)[1])


def test_grades_are_explained_by_what_speaks_for_them():
    model = linear_net(3, "sigmoid")
    slopes = linear_slopes(model)
    explain = Saliency(model, class_scores=class_scores("ordinal", 3))
    for grade, expected in ((0, -slopes[1]), (1, slopes[1]), (2, slopes[2])):
        close(explain(IMAGES[:1], np.array([grade]))[1][0], np.abs(expected).max(axis=-1), 1e-6)
    with pytest.raises(ValueError, match="must be given"):
        explain(IMAGES)


def test_the_model_is_the_same_afterwards():
    model = curved_net()
    before, weights = model.predict(IMAGES, verbose=0), [weight.copy() for weight in model.get_weights()]
    config = model.get_config()
    nodes = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers]
    SmoothGrad(model, n_samples=2)(IMAGES)
    np.testing.assert_array_equal(model.predict(IMAGES, verbose=0), before)
    assert model.get_config() == config
    assert [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers] == nodes
    for was, is_now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, is_now)


def test_half_precision_gives_finite_maps_in_float32():
    keras.utils.set_random_seed(9)
    x = keras.Input((12, 10, 3))
    y = keras.layers.Rescaling(1 / 255, dtype="float32")(x)
    y = keras.layers.Conv2D(4, 3, activation="relu", dtype="mixed_float16")(y)
    y = keras.layers.GlobalAveragePooling2D(dtype="mixed_float16")(y)
    logits = keras.layers.Dense(3, name="logits", dtype="float32")(y)
    model = keras.Model(x, keras.layers.Softmax()(logits))
    probabilities, maps = SmoothGrad(model, n_samples=3)(IMAGES, MIXED)
    assert maps.dtype == probabilities.dtype == np.float32
    assert np.isfinite(maps).all()
    assert maps.max() > 0


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"n_samples": 0}, "n_samples"),
        ({"noise": -0.1}, "noise"),
        ({"noise": float("nan")}, "noise"),
        ({"batch": 0}, "batch"),
        ({"channels": "mean"}, "max, norm"),
        ({"n_samples": 10, "max_passes": 20}, "takes 21 passes"),
        ({"logits_layer": "nothing"}, "no layer `nothing`"),
    ],
)
def test_settings_out_of_their_range_are_refused(net, settings, told):
    with pytest.raises(InputError, match=told):
        SmoothGrad(net, **settings)


def test_as_many_passes_as_allowed_are_taken(net):
    assert SmoothGrad(net, n_samples=10, max_passes=21).n_passes == 21


@pytest.mark.parametrize("targets", [[0, 1], [0, 0, 0, 3], [-1] * 4, [0.0] * 4])
def test_targets_that_are_no_classes_are_refused(net, targets):
    with pytest.raises(InputError, match="Saliency takes one target an image, a whole number from 0 to 2"):
        Saliency(net)(IMAGES, np.array(targets))


@pytest.mark.parametrize("shape", [(2, 10, 12, 3), (12, 10, 3), (0, 12, 10, 3)])
def test_inputs_of_another_shape_are_refused(net, shape):
    with pytest.raises(InputError, match=r"\(n, 12, 10, 3\)"):
        SmoothGrad(net)(np.zeros(shape))


@pytest.mark.parametrize(
    "method",
    [
        Saliency,
        lambda model: SmoothGrad(model, n_samples=1),
        GuidedBackprop,
        lambda model: IntegratedGradients(model, steps=1),
        lambda model: Occlusion(model, patch=6, stride=6),
        lambda model: Rise(model, n_masks=2),
        FeatureMaps,
    ],
)
def test_nothing_keeps_a_model_alive_that_was_explained(method):
    model = curved_net()
    explain = method(model)
    explain(IMAGES)
    gone = [weakref.ref(model), weakref.ref(explain), weakref.ref(model.get_layer("logits"))]
    del model, explain
    gc.collect()
    assert [ref() for ref in gone] == [None] * 3
