"""The layer that is mapped where none is named: of every backbone, and where the last convolution is wrong."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from tasks.backbones import registry
from tasks.backbones.build import build_base, build_model
from tasks.config import Head, InputError
from tasks.explanation.auto_layer import auto_layer
from tasks.explanation.gradcam import GradCam
from tasks.explanation.graph import calls, crossed_by_all, output_of


def small_size(spec):
    return next(size for size in (spec.sizes or range(64, 200)) if size >= max(spec.min_size + 36, 64))


@pytest.mark.parametrize("backbone", registry.names())
def test_every_backbone_has_the_layer_of_its_spec(backbone):
    spec = registry.get(backbone)
    base = build_base(spec, small_size(spec), seed=0)
    for features in (layers.GlobalAveragePooling2D()(base.output), layers.Flatten()(base.output)):
        logits = layers.Dense(2, name="logits")(layers.Dropout(0.5)(features))
        model = keras.Model(base.input, layers.Softmax()(logits))
        assert auto_layer(model) == spec.cam_layer
    keras.backend.clear_session()


@pytest.mark.parametrize("head", [Head(kind="gap"), Head(kind="flatten", units=[4, 3], dropout=0.5)])
def test_with_the_heads_that_are_put_on(head):
    model = build_model("ncnn", n_outputs=2, size=59, head=head).model
    assert auto_layer(model) == registry.get("ncnn").cam_layer


def model_of(build, shape=(16, 12, 3), head=layers.GlobalAveragePooling2D):
    x = keras.Input(shape)
    y = build(x)
    y = head()(y) if head else y
    return keras.Model(x, layers.Softmax()(layers.Dense(2, name="logits")(y)))


def residual(x):
    y = layers.Conv2D(4, 3, padding="same", name="first")(x)
    side = layers.Conv2D(4, 3, padding="same", name="last_convolution")(y)
    return layers.ReLU(name="wanted")(layers.BatchNormalization()(layers.Add()([y, side])))


def branches(x):
    y = layers.Conv2D(4, 3, padding="same")(x)
    ways = [layers.Conv2D(4, 1, name="one")(y), layers.Conv2D(3, 3, padding="same", name="last_convolution")(y)]
    return layers.Concatenate(name="wanted")(ways)


def squeezed(x):
    y = layers.Conv2D(4, 3, name="convolution")(x)
    weight = layers.GlobalAveragePooling2D(keepdims=True)(y)
    weight = layers.Conv2D(4, 1, activation="sigmoid", name="last_convolution")(weight)
    return layers.Multiply(name="wanted")([y, weight])


def pooled(x):
    y = layers.Conv2D(4, 3, activation="relu", name="wanted")(x)
    return layers.SpatialDropout2D(0.5)(layers.AveragePooling2D(2)(layers.MaxPooling2D(2)(y)))


def pooled_once_more(x):
    y = layers.MaxPooling2D(2)(layers.Conv2D(4, 3, padding="same", activation="relu", name="wanted")(x))
    return layers.Conv2D(5, (8, 6), name="without_places")(y)


def one_row(x):
    return layers.Conv2D(4, (16, 3), name="wanted")(layers.Conv2D(4, 3, padding="same")(x))


def operations(x):
    y = layers.Conv2D(4, 3, padding="same")(x)
    return ops.relu(y + layers.Conv2D(4, 1, name="last_convolution")(y))


def reused(x):
    shared = layers.Conv2D(3, 3, padding="same", activation="relu", name="wanted")
    return shared(shared(x))


BUILT = [residual, branches, squeezed, pooled, pooled_once_more, one_row, reused]


@pytest.mark.parametrize("head", [layers.GlobalAveragePooling2D, layers.Flatten])
@pytest.mark.parametrize("build", BUILT, ids=lambda build: build.__name__)
def test_the_last_layer_with_places_that_all_paths_cross(build, head):
    assert auto_layer(model_of(build, head=head)) == "wanted"


def test_an_extent_that_depends_on_the_input_is_one():
    assert auto_layer(model_of(pooled, shape=(None, None, 3))) == "wanted"


def test_a_plain_operation_is_found_and_mapped():
    model = model_of(operations)
    found = auto_layer(model)
    assert "relu" in found
    images = np.random.default_rng(0).uniform(0, 1, (2, 16, 12, 3))
    activations = keras.Model(model.inputs[0], output_of(model, found))(images).numpy()
    expected = np.maximum(activations @ model.get_layer("logits").kernel.numpy()[:, 1] / (16 * 12), 0)
    _, maps = GradCam(model, "auto")(images, np.ones(2, int))
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5 * expected.max())


def test_a_layer_that_is_used_twice_is_mapped_where_it_is_used_last():
    model = model_of(reused)
    convolution, images = model.get_layer("wanted"), np.random.default_rng(0).uniform(0, 1, (2, 16, 12, 3))
    activations = convolution(convolution(images)).numpy()
    expected = np.maximum(activations @ model.get_layer("logits").kernel.numpy()[:, 1] / (16 * 12), 0)
    _, maps = GradCam(model, "wanted")(images, np.ones(2, int))
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5 * expected.max())


def test_a_layer_that_is_used_again_where_there_are_no_places_is_not_taken():
    def build(x):
        shared = layers.Conv2D(3, 1, name="shared")
        y = shared(layers.Conv2D(3, 3, name="below")(x))
        return shared(layers.GlobalAveragePooling2D(keepdims=True)(y))

    assert auto_layer(model_of(build)) == "below"


def test_a_layer_that_another_model_used_first_is_mapped_in_this_one():
    other = model_of(residual)
    x = keras.Input((16, 12, 3))
    y = other.get_layer("first")(layers.Rescaling(1 / 255)(x))
    model = keras.Model(x, layers.Softmax()(other.get_layer("logits")(layers.GlobalAveragePooling2D()(y))))
    assert auto_layer(model) == "first"
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 12, 3))
    activations = other.get_layer("first")(images / 255).numpy()
    expected = np.maximum(activations @ other.get_layer("logits").kernel.numpy()[:, 0] / (16 * 12), 0)
    _, maps = GradCam(model, "first")(images, np.zeros(2, int))
    np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5 * expected.max())


def test_a_sequential_model():
    convolutions = [keras.Input((9, 9, 3)), layers.Conv2D(4, 3), layers.Conv2D(5, 3, name="wanted")]
    head = [layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(4, name="logits"), layers.Softmax()]
    assert auto_layer(keras.Sequential([*convolutions, *head])) == "wanted"


def test_a_nested_backbone_is_mapped_at_its_output():
    x = keras.Input((16, 12, 3))
    backbone = keras.Model(x, residual(x), name="backbone")
    assert auto_layer(model_of(backbone)) == "backbone"


@pytest.mark.parametrize(
    "build",
    [
        lambda x: layers.Flatten()(layers.Rescaling(1 / 255)(x)),
        lambda x: layers.Flatten()(layers.Normalization()(x)),
        lambda x: layers.Flatten()(layers.Conv2D(4, (16, 12))(x)),
        lambda x: layers.Concatenate()([layers.Flatten()(layers.Conv2D(4, 3)(x)), layers.Flatten()(x)]),
    ],
    ids=["pixels", "normalised pixels", "no places", "pixels go around"],
)
def test_a_model_without_such_a_layer_is_refused(build):
    with pytest.raises(InputError, match="no layer with height, width and channels that every path"):
        auto_layer(model_of(build, head=None))


def test_without_logits_it_is_refused():
    with pytest.raises(InputError, match="no layer `scores`"):
        auto_layer(model_of(residual), "scores")


def slow_crossed(order, start, end):
    """Give the calls without which no path is left, found by taking each out."""

    def connected(without):
        reached = {start} - {without}
        for call in order:
            if call is not without and reached & set(call.parent_nodes):
                reached.add(call)
        return end in reached

    return [call for call in order if not connected(call)]


def test_calls_that_all_paths_cross_are_those_without_which_no_path_is_left():
    rng = np.random.default_rng(3)
    for _ in range(20):
        tensors = [keras.Input((4,))]
        start = tensors[0]
        for _ in range(12):
            taken = rng.integers(max(0, len(tensors) - 4), len(tensors), size=rng.integers(1, 3))
            tensors.append(layers.Add()([tensors[i] for i in (*taken, taken[0])]))
        order = calls(tensors[-1])
        first = next(call for call in order if call.outputs[0] is start)
        assert order[-1].outputs[0] is tensors[-1]
        assert crossed_by_all(start, tensors[-1]) == slow_crossed(order, first, order[-1])


def test_where_there_is_no_path_nothing_is_crossed():
    lonely, x = keras.Input((4,)), keras.Input((4,))
    assert crossed_by_all(lonely, layers.Dense(2)(x)) == []


def test_a_graph_with_very_many_paths_is_counted_exactly():
    x = keras.Input((4,))
    wanted, y = [], x
    for _ in range(300):
        y = layers.Add()([y, layers.Identity()(y)])
        wanted.append(y)
    found = [call.outputs[0] for call in crossed_by_all(x, y)]
    assert [id(tensor) for tensor in found] == [id(tensor) for tensor in (x, *wanted)]
