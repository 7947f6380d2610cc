from __future__ import annotations

import json
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tasks.config import Preprocessing
from tasks.dataset.pixels import shaping
from tasks.dataset.pixels.images import resize
from tasks.dataset.pixels.shaping import Shaping, shape
from tasks.evaluation import outputs
from tasks.tracking.served_model import ImageClassifier

SIZE = 10


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A classifier whose answer holds every pixel of what the network was given."""
    folder = tmp_path_factory.mktemp("served")
    images = keras.Input((SIZE, SIZE, 3), name="image")
    keras.Model(images, keras.layers.Flatten()(images)).save(folder / "network.keras")
    classes = [f"pixel {number}" for number in range(SIZE * SIZE * 3)]
    return loaded(folder, classes)


def loaded(folder, classes, kind="multilabel", **changes):
    """Give the classifier around the network in a folder; as multilabel its outputs stand for themselves."""
    about = {"classes": classes, "kind": kind, "separator": "|", "none_label": "none", "size": SIZE}
    about |= {"thresholds": [0.5] * len(classes), "preprocessing": Preprocessing().model_dump(mode="json")} | changes
    (folder / "about.json").write_text(json.dumps(about))
    model = ImageClassifier()
    files = {"network": folder / "network.keras", "about": folder / "about.json"}
    files |= {"shaping": shaping.__file__, "outputs": outputs.__file__}
    model.load_context(SimpleNamespace(artifacts={name: str(file) for name, file in files.items()}))
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


@pytest.mark.parametrize("steps", [{"resize": "pad", "pad_color": (9, 200, 30)}, {"resize": "crop", "mask": "circle"}])
def test_the_models_own_steps_are_those_of_training(served, tmp_path, monkeypatch, steps):
    images = np.random.default_rng(0).integers(0, 256, (2, 31, 17, 3), dtype=np.uint8)
    asked = Shaping(**steps)
    monkeypatch.setattr(served, "how", served.shaping.Shaping(*asked))
    np.testing.assert_array_equal(seen(served, images), [shape(image, SIZE, asked) for image in images])


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    """A folder with a network whose three outputs are the shares of red, green and blue."""
    folder = tmp_path_factory.mktemp("shares")
    images = keras.Input((SIZE, SIZE, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    keras.Model(images, pooled).save(folder / "network.keras")
    return folder


def coloured(*shares):
    return np.stack([np.full((SIZE, SIZE, 3), 255 * np.array(share)) for share in shares])


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("multiclass", ["a", "a", "a", "b"]),
        ("multilabel", ["a|b|c", "a", "none", "a|b"]),
        ("ordinal", ["c", "a", "a", "b"]),
    ],
)
def test_decisions_are_read_off_as_for_the_fold_run_and_written_as_the_data_writes_them(shares, kind, told):
    images = coloured([0.9, 0.7, 0.8], [0.8, 0.3, 0.7], [0.4, 0.3, 0.2], [0.6, 0.9, 0.3])
    model = loaded(shares, ["a", "b", "c"], kind, thresholds=[0.5, 0.6, 0.75])
    answer = model.predict(None, images)
    raw = np.round(images[:, 0, 0]) / 255
    expected = outputs.class_probabilities(raw, kind)
    assert list(answer.columns) == ["a", "b", "c"]
    assert set(answer.dtypes) == {np.dtype(np.float32)}
    np.testing.assert_allclose(answer, expected, atol=1e-6)
    decided = model.predict(None, images, {"decide": True})
    assert list(decided.columns) == ["predicted"]
    assert decided["predicted"].tolist() == told
    assert model.predict(None, images, {"decide": False}).equals(answer)
    assert model.predict(None, images[:0], {"decide": True}).shape == (0, 1)
