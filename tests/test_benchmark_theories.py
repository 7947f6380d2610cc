"""What the suite takes for each method's cost in theory, held against the images that really go through a network."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tasks.config import Explanation
from tasks.explanation.building import build_method
from tasks.explanation.methods import METHODS
from tests.benchmarks import explaining
from tests.benchmarks.baselines.plain_passes import Passes, Theory, theory_of

SIDE, CHANNELS = 12, 5
SETTINGS = Explanation.model_validate(
    {
        "integrated_gradients": {"steps": 20},
        "smoothgrad": {"n_samples": 18},
        "scorecam": {"max_channels": 3},
        "occlusion": {"patch": 4, "stride": 2},
        "rise": {"n_masks": 19},
    }
)


class Turnstile(layers.Layer):
    """Counts the images that go through."""

    def __init__(self):
        super().__init__(name="turnstile")
        self.seen = tf.Variable(0, dtype=tf.int32, trainable=False)

    def call(self, images):
        with tf.control_dependencies([self.seen.assign_add(tf.shape(images)[0])]):
            return tf.identity(images)


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 3))
    x = Turnstile()(image)
    x = layers.Conv2D(CHANNELS, 3, activation="relu", bias_initializer="ones", name="cam")(x)
    x = layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Activation("softmax", name="probabilities")(x))


@pytest.mark.parametrize("name", METHODS)
def test_a_method_takes_as_many_passes_as_its_theory_says(name, model):
    method = build_method(name, model, "cam", SETTINGS)
    image = np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32)
    turnstile = model.get_layer("turnstile")
    method(image, None)
    turnstile.seen.assign(0)
    method(image, None)
    theory = theory_of(name, SETTINGS, channels=3, patches=25)
    black = int(name == "scorecam")  # one black image a batch, which is not counted to any image
    assert int(turnstile.seen.numpy()) == theory.forward + theory.both + black
    if hasattr(method, "n_passes"):
        assert method.n_passes == theory.forward + 2 * theory.both


def test_a_theory_adds_up_the_plain_passes_of_its_batch_size():
    plain = {"forward 16": 1.0, "both 16": 3.0, "forward 32": 0.5, "both 32": 2.0, "head": 0.25, "head and back": 0.375}
    assert Theory(forward=1, both=4).seconds(plain) == 13
    assert Theory(forward=2, above=2, batch=32).seconds(plain) == 1.25
    assert Theory(forward=1, above=1).seconds(plain | {"head": 0.5}) == 1
    assert str(Theory(forward=1, above=1)) == "1 forward, 1 back to the layer"


def test_plain_passes_give_what_the_model_gives(model):
    images = np.random.default_rng(0).uniform(0, 255, (5, SIDE, SIDE, 3)).astype(np.float32)
    sides = Passes(model, "cam").sides(images, (2,))
    np.testing.assert_allclose(sides["forward 2"](), model(images, training=False).numpy(), atol=1e-6)
    for name, shape in {"both 2": images.shape, "head": (100, 3), "head and back": (100, 10, 10, CHANNELS)}.items():
        found = sides[name]()
        assert found.shape == shape
        assert found.any()


def test_the_table_has_a_line_a_method_and_a_column_a_backbone():
    rates = {"Score-CAM": {"theory": "65 forward", "ours": [2.0], "theirs": [3.0]}}
    rates["Saliency"] = {"theory": "1 forward, 1 back to the layer", "ours": [4.0], "theirs": [2.0]}
    parts = [part.to_json() for name in ("vgg16", "ncnn") for part in explaining._parts(name, {"rates": rates})]
    parts[2]["name"] = "ncnn, Score-CAM: 48 forward"
    assert [part["holds"] for part in parts[:2]] == [False, True]
    results = {
        "rows": {"explaining": {"status": "measured", "parts": parts}, "explaining_measures": {"status": "failed"}}
    }
    assert explaining.tables(results).splitlines() == [
        "| method | passes in theory | vgg16 | ncnn |",
        "| --- | --- | --- | --- |",
        "| Score-CAM | 65 forward / 48 forward | 2 images/s, 1.50 × | 2 images/s, 1.50 × |",
        "| Saliency | 1 forward, 1 back to the layer | 4 images/s, 0.50 × | 4 images/s, 0.50 × |",
    ]
