from __future__ import annotations

import keras
import numpy as np
import pytest

from tasks.backbones import spec as specs
from tasks.backbones.build import build_model
from tasks.backbones.registry import Preprocessing
from tasks.config import Head, Training
from tasks.dataset.array_store import ArrayStore
from tasks.training.features import frozen_features, trained_part
from tasks.training.fit import compiled_logits, fit

N = 24
CLASSES = ("a", "b")
Y = np.arange(N) % 2
TRAIN, VALIDATION = np.arange(16), np.arange(16, N)


@pytest.fixture(autouse=True)
def _afterwards():
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture
def store(tmp_path):
    return ArrayStore(tmp_path / "arrays", 1.0)


@pytest.fixture
def tiny(monkeypatch):
    """Register a backbone with a batch normalisation on either side of the boundary, for this test alone."""

    def base(x):
        from keras import layers

        x = layers.Conv2D(6, 3, padding="same", name="low")(x)
        x = layers.BatchNormalization(momentum=0.5, name="low_bn")(x)
        x = layers.ReLU(name="low_relu")(x)
        x = layers.Conv2D(6, 3, padding="same", name="high")(x)
        x = layers.BatchNormalization(momentum=0.5, name="high_bn")(x)
        return layers.ReLU(name="high_relu")(x)

    entry = specs.BackboneSpec(
        name="tiny",
        title="tiny",
        builder=base,
        native_size=12,
        min_size=8,
        preprocessing=Preprocessing("rgb", (1 / 255,) * 3, (0.0,) * 3),
        cam_layer="high_relu",
        freeze_points={"base": "high_relu", "last_block": "low_relu", "none": None},
        weight_sources={"none": ()},
    )
    monkeypatch.setitem(specs.SPECS, "tiny", entry)
    return "tiny"


def pictures(size, n=N):
    noise = np.random.default_rng(0).normal(0, 25, (n, size, size, 3))
    return np.clip(100 + 60 * (np.arange(n) % 2)[:, None, None, None] + noise, 0, 255).astype(np.uint8)


def built(name, size, freeze, *, mixed=False):
    keras.mixed_precision.set_global_policy("mixed_float16" if mixed else "float32")
    head = Head(kind="gap", dropout=0.3)
    return build_model(name, n_outputs=2, size=size, freeze=freeze, head=head, base_seed=1, head_seed=2)


def history_of(model, inputs, epochs=3):
    training = Training(epochs=epochs, batch_size=5, early_stopping_patience=None)
    return fit(model, inputs, Y, TRAIN, VALIDATION, CLASSES, training, seed=9).drop(columns="seconds")


@pytest.mark.parametrize(
    ("name", "size", "freeze"),
    [("tiny", 12, "last_block"), ("ncnn", 36, "last_block"), ("ncnn", 36, "base"), ("vgg16", 32, "base")],
)
def test_training_from_frozen_features_is_training_from_images(name, size, freeze, store, tiny):
    images = pictures(size)
    whole = built(name, size, freeze)
    from_images = history_of(trained_part(whole, False), images)
    model = built(name, size, freeze)
    features = frozen_features(model, images, "digest", store)
    from_features = history_of(trained_part(model, True), features)
    np.testing.assert_allclose(from_features["train/loss"], from_images["train/loss"], atol=1e-5)
    np.testing.assert_allclose(from_features["val/loss"], from_images["val/loss"], atol=1e-5)
    x = images[VALIDATION].astype(np.float32)
    np.testing.assert_allclose(model.model(x), whole.model(x), atol=1e-4)


def test_features_are_what_the_boundary_gives_in_inference_mode(store, tiny):
    images = pictures(12)
    model = built(tiny, 12, "last_block")
    features = frozen_features(model, images, "digest", store)
    below = keras.Model(model.model.input, model.model.get_layer("low_relu").output)
    np.testing.assert_allclose(features, below(images.astype(np.float32), training=False), atol=1e-5)
    assert features.dtype == np.float32


def test_an_images_features_do_not_hang_on_its_company(store, tiny):
    images = pictures(12, 70)
    model = built(tiny, 12, "last_block")
    together = frozen_features(model, images, "all", store)
    few = np.array([69, 3, 40])
    np.testing.assert_allclose(frozen_features(model, images[few], "few", store), together[few], atol=1e-5)


def test_features_are_computed_once_and_anew_for_all_that_decides_them(store, tiny):
    images = pictures(12)
    reports = []

    def computed(model, digest="digest"):
        reports.clear()
        frozen_features(model, images, digest, store, lambda done, total: reports.append((done, total)))
        return list(reports)

    assert computed(built(tiny, 12, "last_block")) == [(N, N)]
    assert computed(built(tiny, 12, "last_block")) == []
    assert computed(built(tiny, 12, "base")) == [(N, N)]
    assert computed(built(tiny, 12, "last_block"), "other images") == [(N, N)]
    assert computed(built(tiny, 12, "last_block", mixed=True)) == [(N, N)]
    keras.mixed_precision.set_global_policy("float32")
    other = build_model(tiny, n_outputs=2, size=12, freeze="last_block", base_seed=77, head_seed=2)
    assert computed(other) == [(N, N)]
    assert len(store.entries()) == 5


def test_other_heads_share_the_features(store, tiny):
    images = pictures(12)
    first = frozen_features(built(tiny, 12, "last_block"), images, "digest", store)
    other = build_model(tiny, n_outputs=5, size=12, freeze="last_block", base_seed=1, head_seed=6)
    reports = []
    again = frozen_features(other, images, "digest", store, lambda *at: reports.append(at))
    assert reports == []
    np.testing.assert_array_equal(again, first)


def test_progress_is_told_batch_by_batch(store, tiny):
    reports = []
    frozen_features(
        built(tiny, 12, "last_block"), pictures(12, 70), "d", store, lambda done, total: reports.append((done, total))
    )
    assert reports == [(32, 70), (64, 70), (70, 70)]


def test_nothing_is_kept_where_nothing_is_frozen_or_it_would_fill_the_store(tmp_path, tiny):
    images = pictures(12)
    assert frozen_features(built(tiny, 12, "none"), images, "digest", ArrayStore(tmp_path, 1.0)) is None
    size_in_gb = N * 12 * 12 * 6 * 4 / 1e9
    small, large = ArrayStore(tmp_path / "s", 1.9 * size_in_gb), ArrayStore(tmp_path / "l", 2.1 * size_in_gb)
    assert frozen_features(built(tiny, 12, "last_block"), images, "digest", small) is None
    assert frozen_features(built(tiny, 12, "last_block"), images, "digest", large) is not None


@pytest.mark.parametrize("from_boundary", [False, True])
def test_fitting_changes_nothing_at_or_below_the_boundary(from_boundary, store, tiny):
    images = pictures(12)
    model = built(tiny, 12, "last_block")
    inputs = frozen_features(model, images, "digest", store) if from_boundary else images
    before = {weight.path: weight.numpy() for weight in model.model.weights}
    history_of(trained_part(model, from_boundary), inputs)
    changed = {path.split("/")[0] for path, old in before.items() if not np.array_equal(old, now(model, path))}
    assert changed == {"high", "high_bn", "logits"}
    moving = [path for path in before if path.startswith("high_bn/moving")]
    assert len(moving) == 2
    assert all(not np.array_equal(before[path], now(model, path)) for path in moving)


def now(model, path):
    return next(weight.numpy() for weight in model.model.weights if weight.path == path)


def test_training_a_part_trains_the_model(store, tiny):
    images = pictures(12)
    model = built(tiny, 12, "last_block")
    part = trained_part(model, True)
    features = frozen_features(model, images, "digest", store)
    history_of(part, features)
    whole = trained_part(model, False)
    np.testing.assert_allclose(compiled_logits(whole)(images), compiled_logits(part)(features), atol=1e-5)


def test_features_under_mixed_precision_are_stored_and_trained_on(store, tiny):
    images = pictures(12)
    model = built(tiny, 12, "last_block", mixed=True)
    features = frozen_features(model, images, "digest", store)
    assert features.dtype == np.float32
    training = Training(epochs=2, batch_size=5, mixed_precision=True)
    history = fit(trained_part(model, True), features, Y, TRAIN, VALIDATION, CLASSES, training, seed=9)
    assert np.isfinite(history["val/loss"]).all()
    assert model.model(images[:1].astype(np.float32)).dtype == "float32"
