import gc
import weakref

import keras
import numpy as np
import pytest

from tasks.config import InputError
from tasks.explanation.gradcam import GradCam


def finished(x, features, n_outputs=3, activation="softmax"):
    logits = keras.layers.Dense(n_outputs, name="logits")(features)
    return keras.Model(x, keras.layers.Activation(activation, name="probabilities")(logits))


def pooled_net(n_outputs=3, activation="softmax"):
    keras.utils.set_random_seed(1)
    x = keras.Input((12, 10, 3))
    y = keras.layers.Rescaling(1 / 255)(x)
    y = keras.layers.Conv2D(4, 3, activation="relu", name="first")(y)
    y = keras.layers.BatchNormalization(name="norm")(y)
    side = keras.layers.Conv2D(4, 3, padding="same", name="side")(y)
    y = keras.layers.Add(name="cam")([y, side])
    y = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(y))
    return finished(x, y, n_outputs, activation)


def dense_net():
    keras.utils.set_random_seed(2)
    x = keras.Input((12, 10, 3))
    y = keras.layers.Conv2D(5, 3, strides=2, activation="relu", name="cam")(x)
    y = keras.layers.Dense(6, activation="relu")(keras.layers.Flatten()(y))
    return finished(x, y)


def reached(model, layer, images):
    return keras.Model(model.inputs[0], model.get_layer(layer).output)(
        images.astype(np.float32), training=False
    ).numpy()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (5, 12, 10, 3))


@pytest.fixture(scope="module")
def pooled():
    return pooled_net()


@pytest.fixture(scope="module")
def dense():
    return dense_net()


@pytest.mark.parametrize("target", [0, 1, 2])
def test_with_a_pooled_head_the_map_is_activations_times_weights(pooled, images, target):
    _, maps = GradCam(pooled, "cam")(images, np.full(5, target))
    activations = reached(pooled, "cam", images)
    expected = activations @ pooled.get_layer("logits").kernel.numpy()[:, target] / (10 * 8)
    assert maps.shape == (5, 10, 8)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps, np.maximum(expected, 0), atol=1e-6 * np.abs(expected).max())
    assert maps.max() > 0


def test_probabilities_are_those_of_the_model_and_the_default_target_is_the_predicted_class(dense, images):
    cam = GradCam(dense, "cam")
    probabilities, maps = cam(images)
    np.testing.assert_allclose(probabilities, dense(images.astype(np.float32), training=False), rtol=1e-6)
    np.testing.assert_array_equal(maps, cam(images, probabilities.argmax(axis=1))[1])


def test_each_image_has_its_own_target(dense, images):
    cam = GradCam(dense, "cam")
    of_class = [cam(images, np.full(5, target))[1] for target in range(3)]
    assert not np.allclose(of_class[0], of_class[1])
    targets = np.array([2, 0, 1, 1, 0])
    _, mixed = cam(images, targets)
    np.testing.assert_allclose(mixed, [of_class[t][i] for i, t in enumerate(targets)], atol=1e-6 * mixed.max())


def test_the_batch_changes_nothing(dense, images):
    cam = GradCam(dense, "cam")
    probabilities, maps = cam(images, np.arange(5) % 3)
    singly = [cam(images[i : i + 1], np.array([i % 3])) for i in range(5)]
    np.testing.assert_allclose(np.concatenate([p for p, _ in singly]), probabilities, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([m for _, m in singly]), maps, atol=1e-6 * maps.max())
    assert cam._compiled.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("start", ["first", "norm", "cam"])
def test_activations_give_what_images_give(pooled, images, start):
    targets = np.arange(5) % 3
    from_images = GradCam(pooled, "cam")(images, targets)
    from_activations = GradCam(pooled, "cam", start_layer=start)(reached(pooled, start, images), targets)
    for given, expected in zip(from_activations, from_images, strict=True):
        np.testing.assert_allclose(given, expected, atol=1e-6)


def test_a_map_of_zeros_where_nothing_speaks_for_the_class(pooled, images):
    model = keras.models.clone_model(pooled)
    model.set_weights(pooled.get_weights())
    kernel = model.get_layer("logits").kernel
    kernel.assign(np.zeros(kernel.shape))
    probabilities, maps = GradCam(model, "cam")(images)
    np.testing.assert_array_equal(maps, np.zeros((5, 10, 8)))
    np.testing.assert_allclose(probabilities, 1 / 3, rtol=1e-6)


def test_a_confident_model_still_has_maps_for_every_class(pooled, images):
    model = keras.models.clone_model(pooled)
    model.set_weights(pooled.get_weights())
    before = GradCam(model, "cam")(images, np.arange(5) % 3)[1]
    model.get_layer("logits").bias.assign([40.0, 0.0, -40.0])
    probabilities, maps = GradCam(model, "cam")(images, np.arange(5) % 3)
    assert (probabilities.argmax(axis=1) == 0).all()
    assert (probabilities[:, 1:] < 1e-12).all()
    np.testing.assert_allclose(maps, before, atol=1e-6 * before.max())
    assert np.isfinite(maps).all()
    assert maps.max() > 0


def test_one_sigmoid_has_a_map_for_either_class(images):
    model = pooled_net(1, "sigmoid")
    cam = GradCam(model, "cam")
    probabilities, _ = cam(images)
    assert probabilities.shape == (5, 1)
    signed = reached(model, "cam", images) @ model.get_layer("logits").kernel.numpy()[:, 0] / 80
    for target, expected in ((1, signed), (0, -signed)):
        np.testing.assert_allclose(cam(images, np.full(5, target))[1], np.maximum(expected, 0), atol=1e-6)
    predicted = (probabilities[:, 0] > 0.5).astype(int)
    np.testing.assert_array_equal(cam(images)[1], cam(images, predicted)[1])


def test_the_model_is_the_same_afterwards(images):
    model = pooled_net()
    predicted = model.predict(images, verbose=0)
    weights, config = [w.copy() for w in model.get_weights()], model.get_config()
    trainable = [(layer.name, layer.trainable) for layer in model.layers]
    activations = {start: reached(model, start, images) for start in ("first", "cam")} | {None: images}
    nodes = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers]
    for start in (None, "first", "cam"):
        cam = GradCam(model, "cam", start_layer=start)
        cam(activations[start])
        cam.every_class(activations[start])
    assert model.get_config() == config
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(model.predict(images, verbose=0), predicted)
    assert [(layer.name, layer.trainable) for layer in model.layers] == trainable
    assert [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers] == nodes


def test_weights_set_later_are_the_ones_explained(pooled, images):
    model = keras.models.clone_model(pooled)
    cam = GradCam(model, "cam")
    model.set_weights(pooled.get_weights())
    np.testing.assert_allclose(cam(images)[1], GradCam(pooled, "cam")(images)[1], atol=1e-6)


def test_nothing_keeps_a_model_alive(images):
    gone = []
    for _ in range(3):
        model = pooled_net()
        cam = GradCam(model, "cam", start_layer="first")
        cam(reached(model, "first", images))
        cam.every_class(reached(model, "first", images))
        gone += [weakref.ref(model), weakref.ref(cam), weakref.ref(model.get_layer("logits"))]
    del model, cam
    gc.collect()
    assert [ref() for ref in gone] == [None] * 9


def test_many_explainers_of_one_model_leave_nothing_behind(images):
    model = dense_net()

    def graph():
        return [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers]

    before = graph()
    gone = []
    for _ in range(4):
        cam = GradCam(model, "cam")
        cam(images)
        gone.append(weakref.ref(cam))
        del cam
    gc.collect()
    assert graph() == before
    assert [ref() for ref in gone] == [None] * 4


def test_a_plain_operation_in_the_graph_is_restored_too(images):
    x = keras.Input((12, 10, 3))
    y = keras.layers.Conv2D(4, 3, name="cam")(x[..., ::-1])
    model = finished(x, keras.layers.GlobalAveragePooling2D()(keras.ops.relu(y)))
    before = [(len(part._inbound_nodes), len(part._outbound_nodes)) for part in model.operations]
    assert GradCam(model, "cam")(images)[1].shape == (5, 10, 8)
    assert [(len(part._inbound_nodes), len(part._outbound_nodes)) for part in model.operations] == before


def test_half_precision_gives_finite_maps_in_float32(images):
    keras.utils.set_random_seed(4)
    x = keras.Input((12, 10, 3))
    y = keras.layers.Rescaling(1 / 255)(x)
    y = keras.layers.Conv2D(4, 3, activation="relu", name="cam", dtype="mixed_float16")(y)
    y = keras.layers.GlobalAveragePooling2D(dtype="mixed_float16")(y)
    model = finished(x, y)
    targets = np.arange(5) % 3
    probabilities, maps = GradCam(model, "cam")(images, targets)
    assert maps.dtype == probabilities.dtype == np.float32
    kernel = model.get_layer("logits").kernel.numpy()
    expected = np.maximum(np.einsum("nhwc,cn->nhw", reached(model, "cam", images), kernel[:, targets]) / 80, 0)
    np.testing.assert_allclose(maps, expected, atol=0.01 * expected.max())


def test_a_sequential_model_is_explained():
    keras.utils.set_random_seed(3)
    layers = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="cam"), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(2, name="logits"), keras.layers.Softmax()])
    probabilities, maps = GradCam(model, "cam")(np.ones((2, 8, 8, 3), np.uint8))
    assert maps.shape == (2, 6, 6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("cam_layer", "start_layer", "told"),
    [
        ("first", "cam", "goes around"),
        ("logits", None, "height, width and channels"),
        ("nothing", None, "no layer `nothing`"),
        ("cam", "nothing", "no layer `nothing`"),
    ],
)
def test_a_layer_that_cannot_be_explained_is_refused(pooled, cam_layer, start_layer, told):
    with pytest.raises(InputError, match=told):
        GradCam(pooled, cam_layer, start_layer=start_layer)


@pytest.mark.parametrize("targets", [[0, 1], [0, 0, 0, 0, 3], [-1] * 5, [0.0] * 5])
def test_targets_that_are_no_classes_are_refused(pooled, images, targets):
    with pytest.raises(InputError, match="0 to 2"):
        GradCam(pooled, "cam")(images, np.array(targets))


@pytest.mark.parametrize("shape", [(2, 10, 12, 3), (12, 10, 3), (0, 12, 10, 3)])
def test_inputs_of_another_shape_are_refused(pooled, shape):
    with pytest.raises(InputError, match=r"\(n, 12, 10, 3\)"):
        GradCam(pooled, "cam")(np.zeros(shape))


def test_the_trunk_is_not_differentiated(pooled):
    operations = [op.type for op in GradCam(pooled, "cam")._compiled.get_concrete_function().graph.get_operations()]
    assert "Conv2D" in operations
    assert not [name for name in operations if name.startswith("Conv2DBackprop")]
