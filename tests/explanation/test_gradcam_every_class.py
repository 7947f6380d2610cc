import keras
import numpy as np
import pytest
from keras import layers

from tasks.backbones.build import build_model
from tasks.config import Head, InputError
from tasks.explanation.gradcam import GradCam

IMAGES = np.random.default_rng(0).uniform(0, 255, (4, 13, 11, 3)).astype(np.float32)


class NoisyDropout(layers.Dropout):
    """Not what its base class is in inference: it doubles what comes in."""

    def call(self, inputs):
        return 2 * inputs


HEADS = {
    "pooled": [layers.GlobalAveragePooling2D],
    "highest": [layers.GlobalMaxPooling2D],
    "flat": [layers.Flatten],
    "pooled, dropped, hidden": [
        layers.GlobalAveragePooling2D,
        lambda: layers.Dropout(0.5),
        lambda: layers.Dense(6, activation="tanh"),
    ],
    "flat, hidden twice": [
        layers.Flatten,
        lambda: layers.Dense(7, activation="relu"),
        lambda: layers.Dense(6, activation="gelu"),
    ],
    "normalised when pooled": [layers.GlobalAveragePooling2D, layers.LayerNormalization],
    "highest of few, then flat": [lambda: layers.MaxPooling2D(2), layers.Flatten],
    "overlapping, padded": [
        lambda: layers.MaxPooling2D(3, strides=2, padding="same"),
        lambda: layers.SpatialDropout2D(0.3),
        lambda: layers.AveragePooling2D(3, strides=2, padding="same"),
        layers.Flatten,
        lambda: layers.Dense(5, activation="relu"),
    ],
    "axes kept": [lambda: layers.GlobalAveragePooling2D(keepdims=True), lambda: layers.Conv2D(5, 1), layers.Flatten],
    "axes kept, then flat": [lambda: layers.GlobalAveragePooling2D(keepdims=True), layers.Flatten],
    "bent before pooling": [lambda: layers.Activation("gelu"), layers.GlobalAveragePooling2D],
    "pooled, then convolved": [lambda: layers.MaxPooling2D(2), lambda: layers.Conv2D(4, 2), layers.Flatten],
    "not what its base class does": [lambda: NoisyDropout(0.5), layers.Flatten],
    "places as channels": [lambda: layers.Flatten(data_format="channels_first")],
    "reshaped": [lambda: layers.Reshape((-1,))],
}


def net(head, n_outputs=3, dtype=None):
    keras.utils.set_random_seed(3)
    x = keras.Input((13, 11, 3))
    y = layers.Rescaling(1 / 255)(x)
    y = layers.Conv2D(6, 3, activation="relu", name="cam", dtype=dtype)(y)
    for layer in head:
        y = layer()(y)
    logits = layers.Dense(n_outputs, name="logits")(y)
    return keras.Model(x, layers.Activation("softmax" if n_outputs > 1 else "sigmoid", name="probabilities")(logits))


def one_by_one(cam, images):
    return np.stack([cam(images, np.full(len(images), k))[1] for k in range(max(cam.n_outputs, 2))], axis=1)


def assert_all_at_once(cam, images, tolerance=1e-5):
    expected = one_by_one(cam, images)
    probabilities, maps = cam.every_class(images)
    assert maps.shape == expected.shape
    assert maps.dtype == probabilities.dtype == np.float32
    assert expected.max() > 0
    np.testing.assert_allclose(maps, expected, rtol=0, atol=tolerance * expected.max())
    np.testing.assert_allclose(probabilities, cam(images)[0], atol=1e-6)


@pytest.mark.parametrize("n_outputs", [1, 3])
@pytest.mark.parametrize("head", HEADS)
def test_all_classes_at_once_are_the_classes_one_by_one(head, n_outputs):
    assert_all_at_once(GradCam(net(HEADS[head], n_outputs), "cam"), IMAGES)


def test_with_a_pooled_head_the_maps_are_activations_times_weights():
    model = net(HEADS["pooled"])
    activations = keras.Model(model.inputs, model.get_layer("cam").output)(IMAGES).numpy()
    expected = np.einsum("nhwc,ck->nkhw", activations, model.get_layer("logits").kernel.numpy()) / (11 * 9)
    _, maps = GradCam(model, "cam").every_class(IMAGES)
    np.testing.assert_allclose(maps, np.maximum(expected, 0), rtol=0, atol=1e-6 * np.abs(expected).max())


def test_the_batch_changes_nothing():
    cam = GradCam(net(HEADS["flat, hidden twice"]), "cam")
    probabilities, maps = cam.every_class(IMAGES)
    singly = [cam.every_class(IMAGES[i : i + 1]) for i in range(4)]
    np.testing.assert_allclose(np.concatenate([p for p, _ in singly]), probabilities, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([m for _, m in singly]), maps, atol=1e-6 * maps.max())
    assert cam._compiled_for_every_class.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "head",
    [
        Head(kind="gap"),
        Head(kind="flatten", units=[]),
        Head(kind="gap", units=[9]),
        Head(kind="flatten", units=[9, 8], dropout=0.5),
    ],
)
@pytest.mark.parametrize("n_outputs", [1, 2, 12])
def test_every_head_of_ours(head, n_outputs):
    built = build_model("ncnn", size=59, n_outputs=n_outputs, head=head, activation="sigmoid")
    images = np.random.default_rng(1).uniform(0, 255, (2, 59, 59, 3))
    assert_all_at_once(GradCam(built.model, built.cam_layer), images)


def test_several_branches_behind_the_cam_layer():
    keras.utils.set_random_seed(4)
    x = keras.Input((13, 11, 3))
    y = layers.Conv2D(6, 3, name="cam")(x)
    branches = [layers.GlobalMaxPooling2D()(y), layers.GlobalAveragePooling2D()(layers.Activation("relu")(y))]
    logits = layers.Dense(3, name="logits")(layers.Concatenate()(branches))
    model = keras.Model(x, layers.Softmax()(logits))
    assert_all_at_once(GradCam(model, "cam"), IMAGES / 255)


def test_pooled_channels_that_are_the_logits_themselves():
    keras.utils.set_random_seed(5)
    x = keras.Input((None, None, 3))
    y = layers.Conv2D(3, 3, name="cam")(x)
    model = keras.Model(x, layers.Softmax()(layers.GlobalAveragePooling2D(name="logits")(y)))
    assert_all_at_once(GradCam(model, "cam"), IMAGES)


def test_a_sequential_model():
    keras.utils.set_random_seed(6)
    convolutions = [keras.Input((13, 11, 3)), layers.Conv2D(4, 3), layers.Conv2D(5, 3, activation="relu", name="cam")]
    head = [layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(6, activation="relu")]
    model = keras.Sequential([*convolutions, *head, layers.Dense(4, name="logits"), layers.Softmax()])
    assert_all_at_once(GradCam(model, "cam"), IMAGES)


def test_activations_give_what_images_give():
    model = net(HEADS["flat"])
    activations = keras.Model(model.inputs, model.get_layer("cam").output)(IMAGES).numpy()
    found = GradCam(model, "cam", start_layer="cam").every_class(activations)
    for given, expected in zip(found, GradCam(model, "cam").every_class(IMAGES), strict=True):
        np.testing.assert_allclose(given, expected, atol=1e-6)


def test_half_precision_gives_finite_maps_in_float32():
    model = net([lambda: layers.GlobalAveragePooling2D(dtype="mixed_float16")], dtype="mixed_float16")
    assert_all_at_once(GradCam(model, "cam"), IMAGES, tolerance=0.01)


def test_weights_set_later_are_the_ones_explained():
    model = net(HEADS["pooled, dropped, hidden"])
    cam = GradCam(model, "cam")
    _, before = cam.every_class(IMAGES)
    model.set_weights([-weights for weights in model.get_weights()])
    assert not np.allclose(cam.every_class(IMAGES)[1], before)
    assert_all_at_once(cam, IMAGES)


@pytest.mark.parametrize("head", ["pooled", "flat, hidden twice", "overlapping, padded"])
def test_neither_convolutions_nor_pooling_are_differentiated(head):
    compiled = GradCam(net(HEADS[head]), "cam")._compiled_for_every_class
    operations = {operation.type for operation in compiled.get_concrete_function().graph.get_operations()}
    assert "Conv2D" in operations
    backward = {"Conv2DBackpropInput", "Conv2DBackpropFilter", "MaxPoolGrad", "AvgPoolGrad", "While", "StatelessWhile"}
    assert not operations & backward


def test_nothing_is_compiled_until_it_is_used():
    cam = GradCam(net(HEADS["pooled"]), "cam")
    cam(IMAGES)
    assert "_compiled_for_every_class" not in vars(cam)


@pytest.mark.parametrize("shape", [(2, 11, 13, 3), (13, 11, 3), (0, 13, 11, 3)])
def test_inputs_of_another_shape_are_refused(shape):
    with pytest.raises(InputError, match=r"\(n, 13, 11, 3\)"):
        GradCam(net(HEADS["pooled"]), "cam").every_class(np.zeros(shape))
