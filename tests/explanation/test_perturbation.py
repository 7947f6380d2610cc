"""Occlusion and RISE against slow loops, and on models that look at a known place."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from skimage.transform import resize

from tasks.config import InputError
from tasks.evaluation.outputs import class_scores
from tasks.explanation.fills import filled
from tasks.explanation.perturbation import Occlusion, Rise
from tests.support.explained_nets import SHAPE, close, curved_net, finished, images, linear_net, logits_of

IMAGES = images()
MIXED = np.array([2, 0, 1, 2])


@pytest.fixture(scope="module")
def net():
    return curved_net()


def looking_at(rows, columns):
    """A model whose class 1 is the brightness of one part of the image."""
    x = keras.Input(SHAPE)
    model = finished(x, keras.layers.Flatten()(x), 2, "softmax")
    kernel = np.zeros((*SHAPE, 2), np.float32)
    kernel[rows, columns, :, 1] = 0.0002
    model.get_layer("logits").kernel.assign(kernel.reshape(-1, 2))
    return model


def published_masks(grids, places, height, width):
    """Masks as Petsiuk et al. make them: each grid enlarged to one cell more than the image, then cut out."""
    cells = grids.shape[1]
    down, across = -(-height // cells), -(-width // cells)
    masks = []
    for grid, (top, left) in zip(grids, places, strict=True):
        large = resize(grid, ((cells + 1) * down, (cells + 1) * across), order=1, mode="edge", anti_aliasing=False)
        top, left = int(top * down), int(left * across)
        masks.append(large[top : top + height, left : left + width])
    return np.stack(masks)


@pytest.mark.parametrize(
    ("patch", "stride", "fill"), [(4, 3, "mean"), (5, 5, "blur"), (3, 1, "black"), (10, 7, "white")]
)
def test_occlusion_is_the_mean_fall_of_a_slow_loop(net, patch, stride, fill):
    probabilities, maps = Occlusion(net, patch=patch, stride=stride, fill=fill, batch=5)(IMAGES, MIXED)
    assert maps.shape == (4, 12, 10)
    assert maps.dtype == np.float32
    tops = sorted({*range(0, 12 - patch + 1, stride), 12 - patch})
    lefts = sorted({*range(0, 10 - patch + 1, stride), 10 - patch})
    for i, target in enumerate(MIXED):
        corners = [(top, left) for top in tops for left in lefts]
        parts = [np.s_[top : top + patch, left : left + patch] for top, left in corners]
        copies = np.repeat(IMAGES[i : i + 1], len(parts), axis=0)
        for copy, part in zip(copies, parts, strict=True):
            copy[part] = filled(IMAGES[i], fill)[part]
        falls = logits_of(net, IMAGES[i : i + 1])[0, target] - logits_of(net, copies)[:, target]
        expected = np.zeros((12, 10))
        for row in range(12):
            for column in range(10):
                over = [top <= row < top + patch and left <= column < left + patch for top, left in corners]
                expected[row, column] = falls[over].mean()
        close(maps[i], expected, 1e-4)
    np.testing.assert_allclose(probabilities, net(IMAGES, training=False), atol=1e-6)


def test_occlusion_finds_exactly_what_a_model_looks_at():
    model = looking_at(slice(4, 7), slice(2, 5))
    _, maps = Occlusion(model, patch=1, stride=1, fill="black")(IMAGES, np.full(4, 1))
    expected = np.zeros((4, 12, 10))
    expected[:, 4:7, 2:5] = 0.0002 * IMAGES[:, 4:7, 2:5].sum(axis=-1)
    close(maps, expected, 1e-4)


def test_rise_masks_are_made_as_published(net):
    rise = Rise(net, n_masks=7, cells=3, share=0.4, seed=5)
    masks = rise.masks(slice(2, 7), 12, 10)
    assert masks.dtype == np.float32
    assert masks.min() >= 0
    assert masks.max() <= 1
    np.testing.assert_allclose(masks, published_masks(rise._grids[2:], rise._places[2:], 12, 10), atol=1e-6)
    many = Rise(net, n_masks=1500, cells=3, share=0.4).masks(slice(0, 1500), 12, 10)
    np.testing.assert_allclose(many.mean(axis=0), 0.4, atol=0.05)


@pytest.mark.parametrize("fill", ["mean", "black"])
def test_rise_is_the_weighted_sum_of_a_slow_loop(net, fill):
    rise = Rise(net, n_masks=9, cells=3, share=0.6, fill=fill, seed=2, batch=4)
    probabilities, maps = rise(IMAGES, MIXED)
    masks = published_masks(rise._grids, rise._places, 12, 10)
    for i, target in enumerate(MIXED):
        expected = np.zeros((12, 10))
        for mask in masks:
            copy = mask[..., None] * IMAGES[i] + (1 - mask[..., None]) * filled(IMAGES[i], fill)
            expected += net(copy[None].astype(np.float32), training=False).numpy()[0, target] * mask
        close(maps[i], expected / (9 * 0.6))
    assert maps.dtype == np.float32
    np.testing.assert_allclose(probabilities, net(IMAGES, training=False), atol=1e-6)


def test_rise_finds_what_a_model_looks_at():
    model = looking_at(slice(6, 12), slice(0, 5))
    model.get_layer("logits").bias.assign([4.0, 0.0])
    _, maps = Rise(model, n_masks=400, cells=4, fill="black")(np.full((1, *SHAPE), 200.0), np.array([1]))
    assert maps[0, 6:, :5].mean() > 1.1 * maps[0, :6].mean()
    assert np.unravel_index(maps[0].argmax(), (12, 10)) in {
        (row, column) for row in range(6, 12) for column in range(5)
    }


def test_rise_weighs_grades_by_the_probability_of_what_speaks_for_them():
    model = linear_net(3, "sigmoid")
    rise = Rise(model, n_masks=5, cells=2, class_scores=class_scores("ordinal", 3), fill="black")
    masks = rise.masks(slice(0, 5), 12, 10)
    logits = logits_of(model, masks[..., None] * IMAGES[0])
    for grade, score in ((0, -logits[:, 1]), (1, logits[:, 1]), (2, logits[:, 2])):
        expected = np.tensordot(1 / (1 + np.exp(-score)), masks, axes=1) / 2.5
        close(rise(IMAGES[:1], np.array([grade]))[1][0], expected)


def test_either_class_of_one_sigmoid_is_explained():
    model = linear_net(1, "sigmoid")
    against, speaks_for = (Occlusion(model, patch=5, stride=5)(IMAGES, np.full(4, target))[1] for target in (0, 1))
    close(against, -speaks_for)
    rise = Rise(model, n_masks=6, cells=2)
    both = sum(rise(IMAGES, np.full(4, target))[1] for target in (0, 1))
    close(both, np.broadcast_to(rise.masks(slice(0, 6), 12, 10).sum(axis=0) / 3, both.shape))


def test_the_seed_decides_the_masks_to_the_bit(net):
    first, again, other = (Rise(net, n_masks=6, cells=3, seed=seed)(IMAGES, MIXED)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other, rtol=0, atol=1e-3 * first.max())


def test_the_rest_of_the_batch_changes_nothing(net):
    for explain in (Occlusion(net, patch=5, stride=4), Rise(net, n_masks=6, cells=3)):
        _, maps = explain(IMAGES, MIXED)
        singly = [explain(IMAGES[i : i + 1], MIXED[i : i + 1])[1] for i in range(4)]
        close(np.concatenate(singly), maps)
        assert explain._scores.experimental_get_tracing_count() == 1


def test_the_default_target_is_the_predicted_class(net):
    predicted = logits_of(net, IMAGES).argmax(axis=1)
    for explain in (Occlusion(net, patch=5, stride=4), Rise(net, n_masks=6, cells=3)):
        np.testing.assert_array_equal(explain(IMAGES)[1], explain(IMAGES, predicted)[1])


def test_a_network_for_images_of_any_size_is_bounded_when_the_size_is_known():
    x = keras.Input((None, None, 3))
    y = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(x))
    model = finished(x, y, 2, "softmax")
    explain = Occlusion(model, patch=4, stride=4, max_passes=10)
    assert explain.n_passes is None
    assert explain(IMAGES)[1].shape == (4, 12, 10)
    with pytest.raises(InputError, match="takes 17 passes"):
        explain(np.zeros((1, 16, 16, 3)))
    with pytest.raises(InputError, match="3 × 16 pixels by patches of 4"):
        explain(np.zeros((1, 3, 16, 3)))
    assert Rise(model, n_masks=3, cells=3)(IMAGES)[1].shape == (4, 12, 10)


@pytest.mark.parametrize(
    ("method", "settings", "told"),
    [
        (Occlusion, {}, "12 × 10 pixels by patches of 32"),
        (Occlusion, {"patch": 4, "stride": 5}, "stride"),
        (Occlusion, {"patch": 4, "stride": 0}, "stride"),
        (Occlusion, {"patch": 4, "stride": 4, "fill": "noise"}, "black, white, mean, blur"),
        (Occlusion, {"patch": 4, "stride": 4, "max_passes": 9}, "takes 10 passes.*stride"),
        (Rise, {"n_masks": 0}, "n_masks"),
        (Rise, {"cells": 1}, "cells"),
        (Rise, {"share": 1.0}, "share"),
        (Rise, {"batch": 0}, "batch"),
        (Rise, {"n_masks": 4000}, "takes 4001 passes.*n_masks"),
    ],
)
def test_settings_out_of_their_range_are_refused(net, method, settings, told):
    with pytest.raises(InputError, match=told):
        method(net, **settings)


def test_as_many_passes_as_allowed_are_taken(net):
    assert Occlusion(net, patch=4, stride=4, max_passes=10).n_passes == 10
    assert Rise(net, n_masks=9, max_passes=10).n_passes == 10
