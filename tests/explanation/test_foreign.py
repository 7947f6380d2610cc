import gc
import weakref
from contextlib import suppress

import keras
import numpy as np
import pytest
from keras import layers

from tasks.backbones.build import build_model
from tasks.config import InputError
from tasks.explanation.auto_layer import auto_layer
from tasks.explanation.foreign import flattened
from tasks.explanation.gradcam import GradCam
from tests.support.foreign_models import (
    MODELS,
    PLAIN_LOGITS,
    SIDE,
    built,
    convolution_at_the_end,
    images_for,
    tiny_backbone,
    transfer_learning,
)

ACTIVATIONS = {
    "transfer_learning": "sigmoid",
    "from_scratch": "sigmoid",
}


def taken(model, images):
    """What the model's maker would feed: RGB, whole numbers by the input's name, or the luminance."""
    if model.inputs[0].dtype == "uint8":
        return {model.inputs[0].name: images.astype(np.uint8)}
    if model.inputs[0].shape[-1] == 1:
        return (images @ np.array([0.2989, 0.587, 0.114], np.float32))[..., None]
    return images


def predicted(model, images):
    (found,) = keras.tree.flatten(model.predict(images, verbose=0))
    return found


def flat_of(name, model, **how):
    return flattened(model, activation="softmax" if name == "image_classification" else None, **how)


def explained(foreign, images):
    """Grad-CAM at the last layer that can be explained."""
    for layer in reversed(foreign.model.layers):
        if len(layer.output.shape) == 4:
            with suppress(InputError):
                return GradCam(foreign.model, layer.name)(images)
    raise AssertionError


def inner_layers(model):
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from inner_layers(layer)


@pytest.mark.parametrize("name", MODELS)
def test_the_flat_model_gives_what_the_model_gives(name):
    model = built(name)
    images = images_for(model)
    expected = predicted(model, taken(model, images))
    foreign = flat_of(name, model)
    logits = keras.Model(foreign.model.inputs[0], foreign.model.get_layer("logits").output)
    found = foreign.model.predict(images, verbose=0)
    assert foreign.activation == ACTIVATIONS.get(name, "softmax")
    assert foreign.n_outputs == expected.shape[1]
    activate = getattr(keras.ops, foreign.activation)
    behind = np.asarray(activate(logits.predict(images, verbose=0)))
    np.testing.assert_allclose(behind, found, atol=1e-6)
    if name in PLAIN_LOGITS:
        np.testing.assert_allclose(logits.predict(images, verbose=0), expected, rtol=1e-5, atol=1e-6)
    else:
        np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.std() > 0


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"mobile_net"}))
def test_the_model_is_the_same_afterwards(name):
    model = built(name)
    images = taken(model, images_for(model))
    before = predicted(model, images)
    config, weights = model.get_config(), [weight.copy() for weight in model.get_weights()]
    nodes = [(layer.name, len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in inner_layers(model)]
    foreign = flat_of(name, model)
    explained(foreign, images_for(model))
    foreign.model.predict(images_for(model), verbose=0)
    assert model.get_config() == config
    assert [
        (layer.name, len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in inner_layers(model)
    ] == nodes
    np.testing.assert_array_equal(predicted(model, images), before)
    for was, now in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, now)
    copy = keras.models.clone_model(model)
    copy.set_weights(weights)
    np.testing.assert_allclose(predicted(copy, images), before, atol=1e-6)


@pytest.mark.parametrize("name", ["transfer_learning", "sequential_in_sequential"])
def test_a_saved_model_is_explained_as_the_one_that_was_saved(name, tmp_path):
    model = built(name)
    images = images_for(model)
    flat_of(name, model)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        flat_of(name, again).model.predict(images, verbose=0),
        flat_of(name, model).model.predict(images, verbose=0),
        atol=1e-6,
    )


def test_weights_are_shared():
    model = built("transfer_learning")
    foreign, images = flattened(model), images_for(model)
    before = foreign.model.predict(images, verbose=0)
    stem = model.get_layer("backbone").get_layer("stem")
    assert any(weight is stem.kernel for weight in foreign.model.weights)
    assert foreign.model.count_params() == model.count_params()
    stem.kernel.assign(stem.kernel * 3)
    assert np.abs(foreign.model.predict(images, verbose=0) - before).max() > 1e-4


def test_every_layer_is_called_once_and_found_by_its_name():
    foreign = flattened(built("one_backbone_twice"))
    names = [layer.name for layer in foreign.model.layers]
    assert {"block_out", "backbone_block_out"} <= set(names)
    assert all(len(operation._inbound_nodes) == 1 for operation in foreign.model.operations)


def test_layers_of_one_name_are_told_apart():
    foreign = flattened(built("sequential_in_sequential"))
    widths = {layer.name: layer.filters for layer in foreign.model.layers if layer.name.endswith("block")}
    assert widths["block"] == 6
    assert len(widths) == 2
    assert [width for name, width in widths.items() if name != "block"] == [5]


def pooled(side=SIDE):
    """A nested model and the same one without nesting, with the same weights."""
    keras.utils.set_random_seed(2)
    base, x = tiny_backbone(side), keras.Input((side, side, 3))
    dense = layers.Dense(3, activation="softmax", name="answer")
    nested = keras.Model(x, dense(layers.GlobalAveragePooling2D()(base(layers.Rescaling(1 / 255)(x)))))
    return nested, base, dense


def test_grad_cam_of_a_nested_backbone_is_what_theory_says():
    nested, base, dense = pooled()
    foreign, images = flattened(nested), images_for(nested)
    targets = np.array([0, 2, 1])
    probabilities, maps = GradCam(foreign.model, "block_out")(images, targets)
    activations = base.predict(images / 255, verbose=0)
    expected = np.einsum("nhwc,cn->nhw", activations, dense.kernel.numpy()[:, targets]) / 64
    np.testing.assert_allclose(maps, np.maximum(expected, 0), atol=1e-6 * np.abs(expected).max())
    np.testing.assert_allclose(probabilities, nested.predict(images, verbose=0), atol=1e-6)
    assert maps.max() > 0


@pytest.mark.parametrize(
    ("name", "filters"), [("image_classification", 5), ("digits", 4), ("convolution_with_softmax", 4)]
)
def test_the_layer_before_the_last_pooling_is_found(name, filters):
    foreign = flat_of(name, built(name))
    assert foreign.model.get_layer(auto_layer(foreign.model)).filters == filters


def test_the_last_layer_of_a_nested_backbone_is_found():
    assert auto_layer(flattened(built("transfer_learning")).model) == "block_out"
    assert auto_layer(flattened(built("operations")).model) == "block_out"


def test_a_model_of_our_own_is_explained_as_it_is():
    built_here = build_model("ncnn", n_outputs=2)
    images = images_for(built_here.model, 2)
    targets = np.array([1, 0])
    foreign = flattened(built_here.model)
    for found, expected in zip(
        GradCam(foreign.model, built_here.cam_layer)(images, targets),
        GradCam(built_here.model, built_here.cam_layer)(images, targets),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, atol=1e-6)
        assert expected.max() > 0


def test_a_confident_model_still_has_maps():
    nested, _, dense = pooled()
    images = images_for(nested)
    before = GradCam(flattened(nested).model, "block_out")(images, np.array([0, 1, 2]))[1]
    dense.bias.assign([60.0, 0.0, -60.0])
    probabilities, maps = GradCam(flattened(nested).model, "block_out")(images, np.array([0, 1, 2]))
    assert probabilities[:, 1:].max() < 1e-12
    np.testing.assert_allclose(maps, before, atol=1e-5 * before.max())


def test_a_backbone_for_any_size_takes_the_size_that_is_named():
    nested, _, _ = pooled(None)
    with pytest.raises(InputError, match="any size"):
        flattened(nested)
    foreign = flattened(nested, size=12)
    assert (foreign.height, foreign.width) == (12, 12)
    images = images_for(nested)[:, :12, :12]
    np.testing.assert_allclose(foreign.model.predict(images, verbose=0), nested.predict(images, verbose=0), atol=1e-6)
    with pytest.raises(InputError, match="16 × 16 pixels, not 12"):
        flattened(pooled()[0], size=12)


def test_half_precision_is_read_in_single_precision():
    keras.utils.set_random_seed(2)
    x = keras.Input((SIDE, SIDE, 3))
    y = layers.Conv2D(4, 3, activation="relu", dtype="mixed_float16", name="conv")(layers.Rescaling(1 / 255)(x))
    y = layers.Dense(3, dtype="mixed_float16")(layers.GlobalAveragePooling2D(dtype="mixed_float16")(y))
    model = keras.Model(x, layers.Activation("softmax", dtype="float32")(y))
    images = images_for(model)
    probabilities, maps = GradCam(flattened(model).model, "conv")(images, np.zeros(3, int))
    np.testing.assert_allclose(probabilities, model.predict(images, verbose=0), atol=1e-3)
    assert np.isfinite(maps).all()


def test_a_layer_of_the_authors_own_is_taken_as_it_is():
    class Doubled(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layers.Conv2D(4, 3)

        def call(self, x):
            return 2 * self.inner(x)

    x = keras.Input((SIDE, SIDE, 3))
    own = Doubled()
    y = layers.GlobalAveragePooling2D()(own(layers.Rescaling(1 / 255)(x)))
    model = keras.Model(x, layers.Dense(2, activation="softmax")(y))
    images = images_for(model)
    foreign = flattened(model)
    np.testing.assert_allclose(foreign.model.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-6)
    assert GradCam(foreign.model, own.name)(images)[1].shape == (3, 14, 14)


def test_a_penalty_of_a_layer_is_not_left_in_the_model():
    x = keras.Input((SIDE, SIDE, 3))
    y = layers.Conv2D(4, 3, activity_regularizer="l2", name="conv")(layers.Rescaling(1 / 255)(x))
    model = keras.Model(x, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(y)))
    GradCam(flattened(model).model, "conv")(images_for(model))
    assert model.get_layer("conv")._losses == []


def test_nothing_keeps_the_models_alive():
    model = built("transfer_learning")
    foreign = flattened(model)
    GradCam(foreign.model, "block_out")(images_for(model))
    gone = [weakref.ref(foreign.model), weakref.ref(foreign.model.get_layer("stem"))]
    del foreign
    gc.collect()
    assert [ref() for ref in gone] == [None, None]


def on_convolution(*ending, inputs=(SIDE, SIDE, 3)):
    return keras.Sequential(
        [keras.Input(inputs), layers.Rescaling(1 / 255), layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), *ending]
    )


def several_heads():
    base = transfer_learning()
    x = base.layers[-2].output
    return keras.Model(base.inputs[0], [layers.Dense(2, name="age")(x), layers.Dense(3, name="sex")(x)])


def two_inputs():
    images, facts = keras.Input((SIDE, SIDE, 3), name="picture"), keras.Input((4,), name="facts")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(images)))
    return keras.Model([images, facts], layers.Dense(2, activation="softmax")(layers.Concatenate()([x, facts])))


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.base, self.top = tiny_backbone(), layers.Dense(2, activation="softmax")

    def call(self, x):
        return self.top(keras.ops.mean(self.base(x), axis=(1, 2)))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return model


def holding_a_subclassed_one():
    x = keras.Input((SIDE, SIDE, 3))
    return keras.Model(x, layers.Activation("linear")(Subclassed()(layers.Rescaling(1 / 255)(x))))


REFUSED = {
    "several outputs": (several_heads, r"2 outputs \(age, sex\)"),
    "several inputs": (two_inputs, r"2 inputs \(picture, facts\)"),
    "a subclass": (subclassed, r"class of its maker's own \(Subclassed\)"),
    "a subclass inside": (holding_a_subclassed_one, "neither logits nor probabilities"),
    "never built": (lambda: keras.Sequential([layers.Conv2D(4, 3), layers.Dense(2)]), "never built"),
    "no images": (lambda: keras.Sequential([keras.Input((8,)), layers.Dense(2, activation="softmax")]), "of shape"),
    "channels first": (lambda: keras.Sequential([keras.Input((3, 8, 8)), layers.Dense(2)]), "channels first"),
    "a segmentation": (lambda: keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 1)]), "Only classifiers"),
    "softmax of one": (lambda: on_convolution(layers.Dense(1, activation="softmax")), "1 for every image"),
    "tanh": (lambda: on_convolution(layers.Dense(2, activation="tanh")), "neither logits nor probabilities"),
    "normalised": (lambda: on_convolution(layers.Dense(2), layers.UnitNormalization()), "neither logits nor"),
    "plain logits": (lambda: on_convolution(layers.Dense(3)), "3 plain logits"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_model_that_cannot_be_explained_is_refused_with_the_reason(name):
    build, told = REFUSED[name]
    with pytest.raises(InputError, match=told) as caught:
        flattened(build())
    assert "\n" not in str(caught.value)


def test_an_average_of_two_softmaxes_is_no_logit():
    x = keras.Input((SIDE, SIDE, 3))
    y = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(layers.Rescaling(1 / 255)(x)))
    both = [layers.Dense(2, activation="softmax")(y) for _ in range(2)]
    with pytest.raises(InputError, match="Average"):
        flattened(keras.Model(x, layers.Average()(both)))


def test_what_is_said_of_the_logits_must_fit_the_model():
    with pytest.raises(InputError, match="ends in a softmax"):
        flattened(convolution_at_the_end(), activation="sigmoid")
    with pytest.raises(InputError, match="has no softmax"):
        flattened(transfer_learning(), activation="softmax")
    model = on_convolution(layers.Dense(3))
    images = images_for(model)
    for activation, kind in (("softmax", "multiclass"), ("sigmoid", "multilabel")):
        foreign = flattened(model, activation=activation)
        expected = getattr(keras.ops, activation)(model.predict(images, verbose=0))
        np.testing.assert_allclose(foreign.model.predict(images, verbose=0), expected, atol=1e-6)
        assert foreign.kind == kind
    single = flattened(transfer_learning())
    assert (single.kind, single.n_classes) == ("multiclass", 2)
