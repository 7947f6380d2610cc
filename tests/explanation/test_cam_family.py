"""Grad-CAM++, HiResCAM and LayerCAM against theory, and against slow loops over an eager gradient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tasks.evaluation.outputs import class_scores
from tasks.explanation.cam_family import GradCamPlusPlus, HiResCam, LayerCam
from tasks.explanation.gradcam import GradCam
from tasks.explanation.maps import normalise
from tests.support.cam_nets import flat_net, hidden_net, pictures, plain_slopes, pooled_net, reached

TARGETS = np.array([2, 0, 1, 1])


def close(found, expected, share=1e-5):
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * np.abs(expected).max())


def gradcam_plus_plus(activations, slopes):
    """Write eq. 5 and 19 of Chattopadhay et al. out, place by place, without the factor exp(S)."""
    n, height, width, channels = activations.shape
    maps = np.zeros((n, height, width))
    for i, k in itertools.product(range(n), range(channels)):
        A, S = activations[i, :, :, k], slopes[i, :, :, k]
        weight = 0.0
        for a, b in itertools.product(range(height), range(width)):
            below = 2 * S[a, b] ** 2 + A.sum() * S[a, b] ** 3
            weight += (S[a, b] ** 2 / below if below else 0.0) * max(S[a, b], 0)
        maps[i] += weight * A
    return np.maximum(maps, 0)


def layercam(activations, slopes):
    n, height, width, channels = activations.shape
    maps = np.zeros((n, height, width))
    for i, a, b, k in itertools.product(range(n), range(height), range(width), range(channels)):
        maps[i, a, b] += max(slopes[i, a, b, k], 0) * activations[i, a, b, k]
    return np.maximum(maps, 0)


def hirescam(activations, slopes):
    return (activations * slopes).sum(axis=-1)


WRITTEN_OUT = {GradCamPlusPlus: gradcam_plus_plus, HiResCam: hirescam, LayerCam: layercam}


@pytest.mark.parametrize("target", [0, 1, 2])
def test_with_a_pooled_head_grad_cam_and_hirescam_are_zhous_cam(target):
    model, images = pooled_net(), pictures()
    kernel = model.get_layer("logits").kernel.numpy()[:, target]
    activations = reached(model, "cam", images)
    _, height, width, _ = activations.shape
    cam = activations @ kernel / (height * width)  # Zhou et al., 2016, eq. 2, over the number of places
    assert cam.min() < 0 < cam.max()
    targets = np.full(len(images), target)
    close(HiResCam(model, "cam")(images, targets)[1], cam)
    close(GradCam(model, "cam")(images, targets)[1], np.maximum(cam, 0))
    for_it = activations @ np.maximum(kernel, 0) / (height * width)
    close(LayerCam(model, "cam")(images, targets)[1], for_it)


def test_where_the_logit_is_linear_in_the_layer_hirescam_adds_up_to_it_and_grad_cam_does_not():
    model, images = flat_net(), pictures()
    model.get_layer("logits").bias.assign([3.0, -1.0, 2.0])
    logits = reached(model, "logits", images)[np.arange(4), TARGETS]
    bias = model.get_layer("logits").bias.numpy()[TARGETS]
    _, maps = HiResCam(model, "cam")(images, TARGETS)
    np.testing.assert_allclose(maps.sum(axis=(1, 2)), logits - bias, rtol=1e-4)
    _, pooled = GradCam(model, "cam")(images, TARGETS)
    assert not np.allclose(normalise(maps), normalise(pooled), atol=0.1)


@pytest.mark.parametrize("layer", ["cam", "low", "mid"])
@pytest.mark.parametrize("method", WRITTEN_OUT, ids=lambda method: method.title)
def test_maps_are_those_of_a_slow_loop_over_an_eager_gradient(method, layer):
    model, images = hidden_net(), pictures()
    activations, slopes = plain_slopes(model, layer, images, TARGETS)
    assert (slopes < 0).any()
    probabilities, maps = method(model, layer)(images, TARGETS)
    assert maps.dtype == np.float32
    close(maps, WRITTEN_OUT[method](activations, slopes))
    np.testing.assert_allclose(probabilities, model(images, training=False), atol=1e-6)


@pytest.mark.parametrize("method", WRITTEN_OUT, ids=lambda method: method.title)
def test_grades_are_explained_by_what_speaks_for_them(method):
    model, images, scores = hidden_net(activation="sigmoid"), pictures(), class_scores("ordinal", 3)
    for targets in (np.zeros(4, int), TARGETS):
        expected = WRITTEN_OUT[method](*plain_slopes(model, "cam", images, targets, scores))
        close(method(model, "cam", class_scores=scores)(images, targets)[1], expected)


@pytest.mark.parametrize("method", WRITTEN_OUT, ids=lambda method: method.title)
def test_one_output_has_a_map_for_either_class(method):
    model, images = hidden_net(1, "sigmoid"), pictures()
    targets = np.array([0, 1, 0, 1])
    close(method(model, "cam")(images, targets)[1], WRITTEN_OUT[method](*plain_slopes(model, "cam", images, targets)))


def exp_derivatives(weights, places, score):
    """Give the first three derivatives of exp(S), S linear with these weights, by each place, from nested tapes."""
    given = tf.constant(places)
    shift = tf.zeros_like(given)
    with tf.GradientTape() as third:
        third.watch(shift)
        with tf.GradientTape() as second:
            second.watch(shift)
            with tf.GradientTape() as first:
                first.watch(shift)
                # one exponential a place, so that mixed derivatives do not come in
                Y = tf.exp(score + weights * shift)
            d1 = first.gradient(Y, shift)
        d2 = second.gradient(d1, shift)
    return d1.numpy(), d2.numpy(), third.gradient(d2, shift).numpy()


def test_grad_cam_plus_plus_is_eq_5_and_10_of_exp_of_the_logit_up_to_one_factor_an_image():
    model, images = pooled_net(), pictures()
    activations = reached(model, "cam", images).astype(np.float64)
    n, height, width, channels = activations.shape
    kernel = model.get_layer("logits").kernel.numpy().astype(np.float64)
    logits = reached(model, "logits", images)
    expected = np.zeros((n, height, width))
    for i, target in enumerate(TARGETS):
        slopes = np.broadcast_to(kernel[:, target] / (height * width), (height, width, channels))
        d1, d2, d3 = exp_derivatives(slopes, activations[i], float(logits[i, target]))
        shares = d2 / (2 * d2 + activations[i].sum(axis=(0, 1)) * d3)
        weights = (shares * np.maximum(d1, 0)).sum(axis=(0, 1))
        expected[i] = np.maximum(activations[i] @ weights, 0)
    close(normalise(GradCamPlusPlus(model, "cam")(images, TARGETS)[1]), normalise(expected))


@pytest.mark.parametrize("method", WRITTEN_OUT, ids=lambda method: method.title)
def test_a_confident_model_has_the_same_maps(method):
    model, images = hidden_net(), pictures()
    before = method(model, "cam")(images, TARGETS)[1]
    model.get_layer("logits").bias.assign([200.0, 0.0, -200.0])
    close(method(model, "cam")(images, TARGETS)[1], before)


@pytest.mark.parametrize("method", WRITTEN_OUT, ids=lambda method: method.title)
def test_where_nothing_speaks_for_a_class_the_map_is_zero(method):
    model = hidden_net()
    model.get_layer("logits").kernel.assign(np.zeros((7, 3)))
    np.testing.assert_array_equal(method(model, "cam")(pictures(), TARGETS)[1], np.zeros((4, 7, 6)))


def test_a_denominator_of_zero_counts_nothing():
    activations = tf.constant([[[[-3.0]], [[1.0]]]])
    slopes = tf.ones((1, 2, 1, 1))  # 2 + (-2) · 1 = 0
    np.testing.assert_array_equal(GradCamPlusPlus.weigh(activations, slopes), np.zeros((1, 2, 1)))
