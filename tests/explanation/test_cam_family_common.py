"""What holds for every method that maps a layer's channels."""

from __future__ import annotations

import gc
import weakref

import keras
import numpy as np
import pytest

from tasks.config import InputError
from tasks.explanation.cam_method import CamMethod, SlopeMethod
from tasks.explanation.gradcam import GradCam
from tasks.explanation.methods import METHODS
from tasks.explanation.score_cam import ScoreCam
from tests.support.cam_nets import hidden_net, pictures, reached

FAMILY = [found for found in (method.load() for method in METHODS.values()) if issubclass(found, CamMethod)]
BY_SLOPES = [method for method in FAMILY if issubclass(method, SlopeMethod)]
TARGETS = np.array([2, 0, 1, 1])


def titles(method):
    return method.title


@pytest.fixture(scope="module")
def model():
    return hidden_net()


@pytest.fixture(scope="module", params=FAMILY, ids=titles)
def method(request, model):
    return request.param(model, "cam")


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_the_family_is_in_the_registry():
    assert len(FAMILY) >= 6
    assert len(BY_SLOPES) >= 4


def test_the_batch_changes_nothing(method):
    images = pictures()
    probabilities, maps = method(images, TARGETS)
    assert maps.shape == (4, 7, 6)
    assert maps.max() > 0
    singly = [method(images[i : i + 1], TARGETS[i : i + 1]) for i in range(4)]
    close(np.concatenate([one for one, _ in singly]), probabilities)
    close(np.concatenate([one for _, one in singly]), maps)
    assert method._compiled.experimental_get_tracing_count() == 1


def test_without_targets_the_predicted_class_is_explained(method, model):
    images = pictures()
    model.get_layer("logits").bias.assign([0.0, 0.5, 0.2])
    probabilities, maps = method(images)
    np.testing.assert_array_equal(maps, method(images, probabilities.argmax(axis=1))[1])
    model.get_layer("logits").bias.assign([0.0, 0.0, 0.0])


@pytest.mark.parametrize("targets", [[0, 1], [0, 0, 0, 3], [-1] * 4, [0.0] * 4])
def test_targets_that_are_no_classes_are_refused(method, targets):
    with pytest.raises(InputError, match=f"^{method.title.replace('+', '.')} takes one target.*0 to 2"):
        method(pictures(), np.array(targets))


@pytest.mark.parametrize("shape", [(2, 10, 11, 3), (11, 10, 3), (0, 11, 10, 3)])
def test_inputs_of_another_shape_are_refused(method, shape):
    with pytest.raises(InputError, match=r"\(n, 11, 10, 3\)"):
        method(np.zeros(shape))


@pytest.mark.parametrize("kind", FAMILY, ids=titles)
def test_with_scores_of_classes_targets_must_be_given_and_unit_scores_change_nothing(kind, model):
    scored = kind(model, "cam", class_scores=np.eye(3, dtype=np.float32))
    with pytest.raises(ValueError, match="must be given"):
        scored(pictures())
    close(scored(pictures(), TARGETS)[1], kind(model, "cam")(pictures(), TARGETS)[1])
    with pytest.raises(ValueError, match=r"\(3, n_classes\), got \(2, 2\)"):
        kind(model, "cam", class_scores=np.eye(2, dtype=np.float32))


@pytest.mark.parametrize("kind", FAMILY, ids=titles)
def test_several_layers_at_once_are_each_on_its_own_in_the_models_order(kind, model):
    several = kind(model, ["cam", "low", "mid", "cam"])
    assert several.layers == ("low", "mid", "cam")
    probabilities, maps = several.every_layer(pictures(), TARGETS)
    assert list(maps) == ["low", "mid", "cam"]
    for layer, found in maps.items():
        alone = kind(model, layer)
        expected, expected_maps = alone(pictures(), TARGETS)
        close(found, expected_maps)
        close(probabilities, expected)
        np.testing.assert_array_equal(alone.every_layer(pictures(), TARGETS)[1][layer], expected_maps)
    with pytest.raises(ValueError, match="every_layer"):
        several(pictures(), TARGETS)


@pytest.mark.parametrize("start", ["scaled", "low", "cam"])
@pytest.mark.parametrize("kind", [kind for kind in FAMILY if kind is not ScoreCam], ids=titles)
def test_activations_give_what_images_give(kind, start, model):
    from_images = kind(model, "cam")(pictures(), TARGETS)
    found = kind(model, "cam", start_layer=start)(reached(model, start, pictures()), TARGETS)
    for given, expected in zip(found, from_images, strict=True):
        close(given, expected)
    if start == "low":
        both = kind(model, ["low", "cam"], start_layer=start).every_layer(reached(model, start, pictures()), TARGETS)[1]
        close(both["cam"], from_images[1])


@pytest.mark.parametrize("kind", FAMILY, ids=titles)
def test_a_layer_that_others_go_around_is_mapped_too(kind, model):
    for layers in ("side", ["side", "cam"]):
        found = kind(model, layers).every_layer(pictures(), TARGETS)[1]["side"]
        assert found.shape == (4, 9, 8)
        assert found.any()


@pytest.mark.parametrize("kind", FAMILY, ids=titles)
@pytest.mark.parametrize(
    ("layer", "told"),
    [("logits", "height, width and channels"), ("nothing", "no layer `nothing`"), ([], "no layer to map")],
)
def test_a_layer_that_has_no_map_is_refused(kind, layer, told, model):
    with pytest.raises(InputError, match=told):
        kind(model, layer)


@pytest.mark.parametrize("kind", FAMILY, ids=titles)
def test_auto_is_the_layer_found(kind, model):
    assert kind(model, "auto").layers == ("cam",)
    assert kind(model, ["low", "auto"]).layers == ("low", "cam")


@pytest.mark.parametrize("kind", FAMILY, ids=titles)
def test_the_model_is_the_same_afterwards_and_weights_set_later_count(kind):
    model, images = hidden_net(), pictures()
    predicted, config = model.predict(images, verbose=0), model.get_config()
    weights = [weight.copy() for weight in model.get_weights()]
    nodes = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers]
    method = kind(model, ["low", "cam"])
    before = method.every_layer(images, TARGETS)[1]
    assert model.get_config() == config
    assert [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers] == nodes
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(model.predict(images, verbose=0), predicted)
    model.get_layer("low").kernel.assign(-model.get_layer("low").kernel)
    after = method.every_layer(images, TARGETS)[1]
    assert not np.allclose(before["low"], after["low"])


@pytest.mark.parametrize("kind", FAMILY, ids=titles)
def test_nothing_keeps_a_model_alive(kind):
    gone = []
    for _ in range(2):
        model = hidden_net()
        method = kind(model, ["low", "cam"])
        method.every_layer(pictures(1))
        gone += [weakref.ref(model), weakref.ref(method), weakref.ref(model.get_layer("cam"))]
    del model, method
    gc.collect()
    assert [ref() for ref in gone] == [None] * 6


@pytest.mark.parametrize("kind", FAMILY, ids=titles)
def test_half_precision_gives_maps_in_float32(kind):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = hidden_net()
    finally:
        keras.config.set_dtype_policy("float32")
    whole = hidden_net()
    half.set_weights(whole.get_weights())
    probabilities, maps = kind(half, "cam")(pictures(), TARGETS)
    expected = kind(whole, "cam")(pictures(), TARGETS)[1]
    assert maps.dtype == probabilities.dtype == np.float32
    np.testing.assert_allclose(maps, expected, rtol=0, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("kind", BY_SLOPES, ids=titles)
def test_what_lies_under_the_layer_is_not_differentiated(kind, model):
    graph = kind(model, "cam")._compiled.get_concrete_function().graph
    operations = [operation.type for operation in graph.get_operations()]
    assert "Conv2D" in operations
    assert not [name for name in operations if name.startswith("Conv2DBackprop")]


def test_all_classes_of_several_layers_are_not_given(model):
    with pytest.raises(ValueError, match="one layer"):
        GradCam(model, ["low", "cam"]).every_class(pictures())
