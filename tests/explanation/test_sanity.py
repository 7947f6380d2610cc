import keras
import numpy as np
import pytest
from scipy.ndimage import correlate

from tasks.explanation.gradcam import GradCam
from tasks.explanation.sanity import SIDE, randomisation_curve, structural_similarity

pytestmark = pytest.mark.filterwarnings("error")


class Weight:
    def __init__(self, value):
        self.value = np.array(value)
        self.dtype = str(self.value.dtype)

    def numpy(self):
        return self.value

    def assign(self, value):
        assert value.shape == self.value.shape
        assert value.dtype == self.value.dtype
        self.value[:] = value


class Layer:
    def __init__(self, name, *weights):
        self.name, self.weights = name, [Weight(weight) for weight in weights]


class Linear:
    """A map is the activations' channels times weights; the state of a random generator is no weight."""

    def __init__(self, n_layers=4):
        random = np.random.default_rng(0)
        self.activations = random.gamma(1, 1, (12, 7, 7, 32))
        self.layers = [
            Layer(f"layer {number}", random.normal(size=32).astype(np.float32), np.arange(9, dtype=np.uint32))
            for number in range(n_layers)
        ]
        self.layers.insert(1, Layer("pooling"))

    def explain(self):
        product = np.sum([layer.weights[0].value for layer in self.layers if layer.weights], axis=0)
        return np.maximum(self.activations @ product, 0)

    def bits(self):
        return [weight.value.tobytes() for layer in self.layers for weight in layer.weights]


def test_maps_of_a_model_that_has_learnt_something_change_and_its_weights_come_back():
    model = Linear()
    before, seen = model.bits(), []

    def explain():
        assert all(np.array_equal(layer.weights[1].value, np.arange(9)) for layer in model.layers if layer.weights)
        seen.append([layer.weights[0].value.copy() for layer in model.layers if layer.weights])
        return model.explain()

    found = randomisation_curve(model, explain)
    assert found.flagged is False
    assert model.bits() == before
    assert found.table["layer"].tolist() == ["", "layer 3", "layer 2", "layer 1", "layer 0"]
    assert found.table["n_layers"].tolist() == [0, 1, 2, 3, 4]
    assert found.table.loc[0, ["ssim", "rank"]].tolist() == pytest.approx([1, 1])
    assert found.table["rank"].iloc[-1] < 0.5 < found.table["rank"].iloc[1]
    assert found.table["ssim"].iloc[-1] < found.table["ssim"].iloc[1] < 1
    assert (found.n_images, found.passes) == (12, 60)
    for stage, weights in enumerate(seen):
        changed = [not np.array_equal(now, intact) for now, intact in zip(weights, seen[0], strict=True)]
        assert changed == [False] * (4 - stage) + [True] * stage
        for now, intact in zip(weights, seen[0], strict=True):
            np.testing.assert_array_equal(np.sort(now), np.sort(intact))


def test_a_map_that_does_not_hang_on_the_weights_is_flagged():
    model = Linear()
    found = randomisation_curve(model, lambda: model.activations.sum(axis=-1))
    assert found.flagged
    np.testing.assert_allclose(found.table[["ssim", "rank"]], 1)


def test_layers_are_taken_together_where_there_are_many():
    model = Linear(9)
    found = randomisation_curve(model, model.explain, max_stages=2)
    assert found.table["n_layers"].tolist() == [0, 5, 9]
    assert found.table["layer"].tolist() == ["", "layer 4", "layer 0"]
    assert found.passes == 36


def test_maps_that_vanish_have_lost_their_order_and_blank_ones_are_left_out():
    model, calls = Linear(), []

    def explain():
        calls.append(1)
        maps = model.explain()
        maps[:3] = 0
        return maps if len(calls) == 1 else np.full_like(maps, np.nan)

    found = randomisation_curve(model, explain)
    assert found.n_images == 9
    np.testing.assert_array_equal(found.table["rank"], [1, 0, 0, 0, 0])
    assert found.flagged is False


def test_weights_come_back_when_the_method_fails():
    model, calls = Linear(), []
    before = model.bits()

    def explain():
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("no more memory")
        return model.explain()

    with pytest.raises(RuntimeError, match="no more memory"):
        randomisation_curve(model, explain)
    assert model.bits() == before


def test_too_few_images_decide_nothing_and_nothing_is_refused():
    model = Linear()
    assert randomisation_curve(model, lambda: model.explain()[:5]).flagged is None
    with pytest.raises(ValueError, match="one image"):
        randomisation_curve(model, lambda: model.explain()[:0])
    model.layers = model.layers[1:2]
    with pytest.raises(ValueError, match="without weights"):
        randomisation_curve(model, model.explain)


def test_the_seed_decides_the_shuffling():
    def rank(seed):
        model = Linear()
        return randomisation_curve(model, model.explain, seed=seed).table["rank"].tolist()

    assert rank(0) == rank(0) != rank(1)


def test_grad_cam_passes_and_the_network_is_the_same_to_the_bit():
    keras.utils.set_random_seed(0)
    x = keras.Input((16, 16, 3))
    y = keras.layers.Conv2D(24, 3, activation="relu", name="first")(keras.layers.Rescaling(1 / 255)(x))
    y = keras.layers.BatchNormalization(name="norm")(y)
    y = keras.layers.Conv2D(24, 3, activation="relu", name="cam")(y)
    y = keras.layers.Dropout(0.5, seed=1)(keras.layers.GlobalAveragePooling2D()(y))
    model = keras.Model(x, keras.layers.Softmax(name="probabilities")(keras.layers.Dense(3, name="logits")(y)))
    images = np.random.default_rng(0).uniform(0, 255, (10, 16, 16, 3)).astype(np.float32)
    targets, cam = np.arange(10) % 3, GradCam(model, "cam")
    before = [variable.numpy().tobytes() for variable in model.variables]
    probabilities, maps = cam(images, targets)
    found = randomisation_curve(model, lambda: cam(images, targets)[1])
    assert found.flagged is False
    assert found.table["layer"].tolist() == ["", "logits", "cam", "norm", "first"]
    assert [variable.numpy().tobytes() for variable in model.variables] == before
    after = cam(images, targets)
    np.testing.assert_array_equal(after[0], probabilities)
    np.testing.assert_array_equal(after[1], maps)


def wang(first, second):
    """Wang, Bovik, Sheikh and Simoncelli 2004, eq. 13, with the 11 x 11 window of their section III B."""
    across = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(across, across) / across.sum() ** 2

    def mean(values):
        return correlate(values.astype(np.float64), window)[5:-5, 5:-5]

    mu, nu = mean(first), mean(second)
    varied, other, both = mean(first**2) - mu**2, mean(second**2) - nu**2, mean(first * second) - mu * nu
    like = (2 * mu * nu + 1e-4) * (2 * both + 9e-4) / ((mu**2 + nu**2 + 1e-4) * (varied + other + 9e-4))
    return like.mean()


def test_structural_similarity_is_as_published():
    first, second = np.random.default_rng(0).random((2, 5, SIDE, SIDE))
    for maps in (first, second):
        maps /= maps.max(axis=(1, 2), keepdims=True)
    mix = np.linspace(0, 0.9, 5)[:, None, None]
    second = mix * first + (1 - mix) * second
    second /= second.max(axis=(1, 2), keepdims=True)
    expected = [wang(one, two) for one, two in zip(first.astype(np.float32), second.astype(np.float32), strict=True)]
    found = structural_similarity(first, second)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(structural_similarity(first * 4, first), 1)
    np.testing.assert_allclose(structural_similarity(first[:, ::8, ::8], first[:, ::8, ::8] / 2), 1)
    assert structural_similarity(np.zeros((1, 7, 7)), first[:1]) < 0.1
