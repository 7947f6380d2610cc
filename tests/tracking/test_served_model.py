from __future__ import annotations

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tasks.dataset.images import resize
from tasks.tracking.served_model import ImageClassifier

SIZE = 10


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A classifier whose answer holds every pixel of what the network was given."""
    folder = tmp_path_factory.mktemp("served")
    images = keras.Input((SIZE, SIZE, 3), name="image")
    keras.Model(images, keras.layers.Flatten()(images)).save(folder / "network.keras")
    classes = [f"pixel {number}" for number in range(SIZE * SIZE * 3)]
    (folder / "about.json").write_text(json.dumps({"classes": classes, "size": SIZE}))
    model = ImageClassifier()
    artifacts = {"network": str(folder / "network.keras"), "about": str(folder / "about.json")}
    model.load_context(SimpleNamespace(artifacts=artifacts))
    return model


def seen(served, images):
    """Give the images that reached the network."""
    return served.predict(None, images).to_numpy().reshape(-1, SIZE, SIZE, 3)


@pytest.mark.parametrize("shape", [(31, 17), (4, 7), (SIZE, SIZE), (SIZE, 40), (1, 1)])
def test_images_are_resized_exactly_as_for_training(served, shape):
    images = np.random.default_rng(0).integers(0, 256, (3, *shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(seen(served, images), [resize(image, SIZE) for image in images])


def test_more_images_than_a_batch_come_out_in_their_order(served):
    images = np.random.default_rng(0).integers(0, 256, (70, SIZE, SIZE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(seen(served, images), images)


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64])
def test_other_kinds_of_numbers_count_by_their_nearest_whole_value(served, kind):
    images = np.random.default_rng(0).integers(1, 255, (2, SIZE, SIZE, 3))
    off = 0 if kind is np.int64 else 0.4
    np.testing.assert_array_equal(seen(served, images.astype(kind) + kind(off)), images)
    np.testing.assert_array_equal(seen(served, images.astype(kind) - kind(off)), images)


def test_nested_lists_are_an_array_too(served):
    assert seen(served, np.full((1, SIZE, SIZE, 3), 7).tolist()).max() == 7


def test_no_image_gives_an_empty_table_with_the_classes(served):
    answer = served.predict(None, np.empty((0, 20, 20, 3), np.uint8))
    assert answer.shape == (0, SIZE * SIZE * 3)
    assert answer.columns[0] == "pixel 0"


@pytest.mark.parametrize("shape", [(SIZE, SIZE, 3), (2, SIZE, SIZE), (2, SIZE, SIZE, 1), (2, SIZE, SIZE, 4), (2, 3)])
def test_what_is_no_batch_of_rgb_images_is_refused_with_its_shape(served, shape):
    with pytest.raises(ValueError, match="RGB images of shape") as caught:
        served.predict(None, np.zeros(shape, np.uint8))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("value", [-1.0, 255.6, 1e9, np.nan, np.inf])
def test_values_outside_0_to_255_are_refused(served, value):
    images = np.full((1, SIZE, SIZE, 3), 100.0)
    images[0, 3, 3, 1] = value
    with pytest.raises(ValueError, match="0 to 255"):
        served.predict(None, images)
