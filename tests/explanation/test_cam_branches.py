"""Layers of a branch: paths to the logits go around them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from tasks.config import InputError
from tasks.explanation.cam_family import GradCamPlusPlus, HiResCam, LayerCam
from tasks.explanation.gradcam import GradCam
from tests.support.cam_nets import SHAPE, ended, hidden_net, pictures, plain_slopes, reached

IMAGES, TARGETS = pictures(), np.array([0, 2, 1, 0])


@pytest.mark.parametrize("method", [GradCam, GradCamPlusPlus, HiResCam, LayerCam])
def test_a_branchs_map_is_made_of_the_slopes_along_its_own_paths(method):
    model = hidden_net()
    probabilities, maps = method(model, "side")(IMAGES, TARGETS)
    join = next(layer.name for layer in model.layers if isinstance(layer, layers.Add))
    activations, (_, slopes) = reached(model, "side", IMAGES), plain_slopes(model, join, IMAGES, TARGETS)
    expected = method.weigh(activations.astype(np.float32), slopes.astype(np.float32)).numpy()
    np.testing.assert_allclose(maps, expected, rtol=1e-3, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(probabilities, model.predict(IMAGES, verbose=0), atol=1e-6)


def test_a_branch_and_what_it_joins_are_mapped_at_once_as_they_are_alone():
    model = hidden_net()
    _, both = HiResCam(model, ["cam", "side"]).every_layer(IMAGES, TARGETS)
    assert list(both) == ["side", "cam"]
    for name, maps in both.items():
        alone = HiResCam(model, name)(IMAGES, TARGETS)[1]
        np.testing.assert_allclose(maps, alone, rtol=1e-4, atol=1e-6 * np.abs(alone).max())


def two_ways():
    """A sum of two branches that differ, and a third that leads nowhere."""
    keras.utils.set_random_seed(7)
    x = keras.Input(SHAPE)
    left = layers.Conv2D(3, 3, activation="relu", name="left")(x)
    right = layers.Conv2D(3, 3, name="right")(x)
    features = layers.GlobalAveragePooling2D()(layers.Concatenate()([left, right]))
    model = ended(x, features)
    aside = layers.Conv2D(2, 3, name="aside")(x)
    return keras.Model(x, [model.output, aside])


def test_the_maps_of_two_branches_add_up_to_that_of_their_join():
    model = two_ways()
    join = next(layer.name for layer in model.layers if isinstance(layer, layers.Concatenate))
    _, found = HiResCam(model, ["left", "right", join]).every_layer(IMAGES, TARGETS)
    np.testing.assert_allclose(found["left"] + found["right"], found[join], rtol=1e-4, atol=1e-6)


def test_a_layer_that_no_logit_depends_on_is_refused():
    with pytest.raises(InputError, match="do not depend on its layer `aside`"):
        GradCam(two_ways(), "aside")


def test_the_maps_of_all_classes_at_once_need_a_layer_that_every_path_crosses():
    with pytest.raises(InputError, match="goes around `side`"):
        GradCam(hidden_net(), "side").every_class(IMAGES)
