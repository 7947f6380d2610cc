import keras
import numpy as np
import pytest
from keras import layers

from tasks.backbones.registry import get
from tasks.backbones.spec import Preprocessing
from tasks.config import InputError
from tasks.explanation.foreign import flattened
from tests.support.foreign_models import MODELS, PLAIN_LOGITS, SIDE, built, images_for, tiny_backbone


def beginning_with(*first, side=SIDE):
    """A model of two logits that begins with these layers."""
    keras.utils.set_random_seed(4)
    x = keras.Input((side, side, 3))
    y = x
    for step in first:
        y = step(y)
    y = layers.GlobalAveragePooling2D()(tiny_backbone(None)(y))
    return keras.Model(x, layers.Dense(2)(y))


def logits(foreign, images):
    """What stands before the softmax, which would hide much."""
    return keras.Model(foreign.model.inputs[0], foreign.model.get_layer("logits").output).predict(images, verbose=0)


def normalised(scale):
    return layers.Normalization(mean=[scale * 0.48] * 3, variance=[(scale * 0.22) ** 2] * 3)


RECOGNISED = {
    "0 to 1": [layers.Rescaling(1 / 255)],
    "-1 to 1": [layers.Rescaling(1 / 127.5, -1)],
    "standardised": [normalised(255)],
    "in two steps": [layers.Rescaling(1 / 255), normalised(1)],
    "behind augmentation": [layers.RandomFlip(), layers.RandomContrast(0.2), layers.Rescaling(1 / 255)],
    "behind a resizing": [layers.Resizing(8, 8), layers.Rescaling(1 / 255)],
    "before a border of zeros": [layers.Rescaling(1 / 255), layers.ZeroPadding2D(2)],
    "as InceptionV3": [keras.applications.inception_v3.preprocess_input],
    "as VGG16": [keras.applications.vgg16.preprocess_input],
    "as DenseNet": [keras.applications.densenet.preprocess_input],
    "by division": [lambda x: x / 255],
}

UNKNOWN = {
    "nothing": [],
    "augmentation alone": [layers.RandomFlip()],
    "resizing alone": [layers.Resizing(8, 8)],
    "for values 0 to 1": [layers.Rescaling(2.0, -1)],
    "normalised for 0 to 1": [normalised(1)],
    "batch normalisation": [layers.BatchNormalization()],
    "behind the first convolution": [layers.Conv2D(3, 3), layers.Rescaling(1 / 255)],
    "scaled twice": [layers.Rescaling(1 / 255), layers.Rescaling(1 / 255)],
    "beside the image": [lambda x: layers.Concatenate()([layers.Rescaling(1 / 255)(x), x])[..., 1:4]],
}


@pytest.mark.parametrize("name", RECOGNISED)
def test_pre_processing_in_the_model_is_recognised(name):
    model = beginning_with(*RECOGNISED[name])
    images = images_for(model)
    foreign = flattened(model, activation="softmax")
    assert foreign.preprocessing is None
    np.testing.assert_allclose(logits(foreign, images), model.predict(images, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", UNKNOWN)
def test_pre_processing_that_is_not_known_is_asked_for(name):
    with pytest.raises(InputError) as caught:
        flattened(beginning_with(*UNKNOWN[name]), activation="softmax")
    told = str(caught.value)
    for choice in ("`model`", "vgg16", "ncnn", "scale, offset and channel_order"):
        assert choice in told


@pytest.mark.parametrize("choice", ["vgg16", "inceptionv3", "densenet121", "ncnn"])
def test_that_of_a_backbone_is_done_before_the_model(choice):
    model = beginning_with()
    images, how = images_for(model), get(choice).preprocessing
    ordered = images[..., ::-1] if how.channel_order == "bgr" else images
    expected = model.predict(ordered * np.float32(how.scale) + np.float32(how.offset), verbose=0)
    foreign = flattened(model, preprocessing=choice, activation="softmax")
    np.testing.assert_allclose(logits(foreign, images), expected, rtol=1e-4, atol=1e-4)
    assert foreign.preprocessing == how
    assert np.abs(model.predict(images, verbose=0) - expected).max() > 1e-2


def test_numbers_of_ones_own_are_done_before_the_model():
    model = beginning_with()
    images = images_for(model)
    how = Preprocessing("bgr", (0.01, 0.02, 0.03), (0.1, 0.2, 0.3))
    expected = model.predict(images[..., ::-1] * np.float32(how.scale) + np.float32(how.offset), verbose=0)
    found = logits(flattened(model, preprocessing=how, activation="softmax"), images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_model_means_as_it_is():
    model = beginning_with()
    images = images_for(model)
    found = logits(flattened(model, preprocessing="model", activation="softmax"), images)
    np.testing.assert_allclose(found, model.predict(images, verbose=0), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(MODELS) - PLAIN_LOGITS))
def test_it_is_never_done_twice(name):
    with pytest.raises(InputError, match="twice"):
        flattened(built(name), preprocessing="inceptionv3")


def test_another_channel_order_before_a_model_that_scales_is_not_twice():
    model = beginning_with(layers.Rescaling(1 / 255))
    images = images_for(model)
    swapped = Preprocessing("bgr", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    found = logits(flattened(model, preprocessing=swapped, activation="softmax"), images)
    np.testing.assert_allclose(found, model.predict(images[..., ::-1], verbose=0), rtol=1e-5, atol=1e-5)


def test_a_name_that_is_not_known_has_its_nearest_told():
    with pytest.raises(InputError, match="nearest: vgg16"):
        flattened(beginning_with(), preprocessing="vgg-16")
