import keras
import numpy as np
import pytest
import tensorflow as tf

from tasks.backbones import registry
from tasks.backbones.build import build_model
from tasks.explanation.gradcam import GradCam


def smallest_with_a_map_of_several_cells(spec):
    return next(size for size in (spec.sizes or range(64, 200)) if size >= max(spec.min_size + 36, 64))


@pytest.fixture(scope="module", params=registry.names())
def built(request):
    spec = registry.get(request.param)
    model = build_model(request.param, n_outputs=3, size=smallest_with_a_map_of_several_cells(spec))
    kernel = model.model.get_layer("logits").kernel
    # With random signs a map is what is left of terms 400 times as large, and the batch size decides its last digits.
    kernel.assign(kernel + keras.ops.std(kernel))
    yield model
    keras.backend.clear_session()


@pytest.fixture
def images(built):
    return np.random.default_rng(5).uniform(0, 255, (3, *built.model.input_shape[1:])).astype(np.float32)


def one_by_one(model, cam_layer, images, targets):
    both = keras.Model(model.inputs[0], [model.get_layer(cam_layer).output, model.get_layer("logits").output])
    maps = []
    for image, target in zip(images, targets, strict=True):
        with tf.GradientTape() as tape:
            picture = tf.constant(image[None])
            tape.watch(picture)
            activations, logits = both(picture, training=False)
            logit = logits[0, target]
        slopes = tape.gradient(logit, activations).numpy()[0].astype(np.float64)
        channels = activations.numpy()[0].astype(np.float64)
        total = (slopes.mean(axis=(0, 1)) * channels).sum(axis=-1)
        maps.append(np.maximum(total, 0))
    return np.stack(maps)


def test_maps_equal_an_eager_loop_over_single_images(built, images):
    cam = GradCam(built.model, built.cam_layer)
    targets = np.array([0, 1, 2])
    _, found = cam(images, targets)
    expected = one_by_one(built.model, built.cam_layer, images, targets)
    assert expected.shape[1] > 1
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.max())


def test_frozen_features_give_the_maps_of_the_images(built, images):
    points = built.spec.freeze_points
    boundary = points.get("last_block") or points["base"]
    features = keras.Model(built.model.inputs[0], built.model.get_layer(boundary).output)(images, training=False)
    targets = np.array([1, 0, 2])
    probabilities, maps = GradCam(built.model, built.cam_layer)(images, targets)
    cut = GradCam(built.model, built.cam_layer, start_layer=boundary)(features.numpy(), targets)
    np.testing.assert_allclose(cut[0], probabilities, atol=1e-5)
    np.testing.assert_allclose(cut[1], maps, rtol=0, atol=1e-5 * maps.max())


@pytest.mark.parametrize("start", [None, "cam_layer"])
def test_all_classes_at_once_are_the_classes_one_by_one(built, images, start):
    given = images
    if start is not None:
        given = keras.Model(built.model.inputs[0], built.model.get_layer(built.cam_layer).output)(
            images, training=False
        ).numpy()
    cam = GradCam(built.model, built.cam_layer, start_layer=start and built.cam_layer)
    expected = np.stack([cam(given, np.full(3, target))[1] for target in range(3)], axis=1)
    probabilities, found = cam.every_class(given)
    np.testing.assert_allclose(probabilities, cam(given)[0], atol=1e-6)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * expected.max())
