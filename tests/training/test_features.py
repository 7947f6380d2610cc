from __future__ import annotations

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

from tasks.backbones import spec as specs
from tasks.backbones.build import build_model
from tasks.backbones.registry import Preprocessing
from tasks.config import Augmentation, Head, InputError, Training
from tasks.dataset.array_store import ArrayStore
from tasks.evaluation.outputs import activated
from tasks.explanation.gradcam import GradCam
from tasks.training.augment import augment
from tasks.training.features import training_inputs
from tasks.training.fit import Fitter, compiled_logits
from tasks.training.session import start_backbone

N = 24
CLASSES = ("a", "b")
Y = np.arange(N) % 2
TRAIN, VALIDATION = np.arange(16), np.arange(16, N)


@pytest.fixture(autouse=True)
def _afterwards():
    yield
    start_backbone(0, mixed_precision=False)


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
        gflops=0.001,
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


def built(name, size, freeze, *, mixed=False, kind="gap"):
    start_backbone(3, mixed)
    head = Head(kind=kind, dropout=0.3)
    return build_model(name, n_outputs=2, size=size, freeze=freeze, head=head, base_seed=1, head_seed=2)


ONLINE = Augmentation(horizontal_flip=True, rotation=20, brightness=0.1)
CACHED = ONLINE.model_copy(update={"mode": "cached", "variants": 3})


def inputs_of(model, images, store, digest="digest", **settings):
    settings = {"augmentation": Augmentation(), "seed": 17} | settings
    return training_inputs(model, images, digest, store, **settings)


def without_store(tmp_path):
    """A store so small that every model is trained from images."""
    return ArrayStore(tmp_path / "small", 1e-9)


def history_of(inputs, epochs=3, augmentation=None, **settings):
    settings = {"epochs": epochs, "batch_size": 5, "early_stopping_patience": None} | settings
    training = Training(augmentation=augmentation or Augmentation(), **settings)
    fitter = Fitter(inputs.trained, training, inputs.variants)
    return fitter.fit(inputs.rows, Y, TRAIN, VALIDATION, CLASSES, seed=9).drop(columns="seconds")


def assert_same_course(one, other):
    for name in ("train/loss", "val/loss"):
        np.testing.assert_allclose(one[name], other[name], atol=1e-5)


@pytest.mark.parametrize("augmentation", [Augmentation(), CACHED], ids=["plain", "variants"])
@pytest.mark.parametrize(
    ("name", "size", "freeze"),
    [("tiny", 12, "last_block"), ("ncnn", 36, "last_block"), ("ncnn", 36, "base"), ("vgg16", 32, "base")],
)
def test_training_from_frozen_features_is_training_from_images(name, size, freeze, augmentation, store, tmp_path, tiny):
    images = pictures(size)
    whole, model = built(name, size, freeze), built(name, size, freeze)
    from_images = inputs_of(whole, images, without_store(tmp_path), augmentation=augmentation)
    from_features = inputs_of(model, images, store, augmentation=augmentation)
    assert (from_images.start, from_features.start is None) == (None, False)
    course = history_of(from_images, augmentation=augmentation)
    assert_same_course(history_of(from_features, augmentation=augmentation), course)
    x = images[VALIDATION].astype(np.float32)
    np.testing.assert_allclose(model.model(x), whole.model(x), atol=1e-4)


def test_pooled_activations_give_the_training_that_unpooled_ones_give(store, tiny):
    images = pictures(12)
    model = built(tiny, 12, "base")
    pooled = inputs_of(model, images, store)
    assert (pooled.start, pooled.cam_start) == ("head_pool", "high_relu")
    assert pooled.rows.shape == (N, 6)
    np.testing.assert_allclose(pooled.rows, pooled.cam_rows.mean(axis=(1, 2)), atol=1e-6)
    course = history_of(pooled)
    again = built(tiny, 12, "base")
    above = keras.Model(again.model.get_layer("high_relu").output, again.model.get_layer("logits").output)
    training = Training(epochs=3, batch_size=5, early_stopping_patience=None)
    unpooled = Fitter(above, training).fit(pooled.cam_rows, Y, TRAIN, VALIDATION, CLASSES, seed=9)
    assert_same_course(course, unpooled)


def test_a_flattening_head_starts_from_flat_activations(store, tiny):
    model = built(tiny, 12, "base", kind="flatten")
    inputs = inputs_of(model, pictures(12), store)
    assert inputs.start == "head_flatten"
    np.testing.assert_array_equal(inputs.rows, inputs.cam_rows.reshape(N, -1))


def test_what_is_trained_above_the_boundary_is_not_computed_beforehand(store, tiny):
    inputs = inputs_of(built(tiny, 12, "last_block"), pictures(12), store)
    assert (inputs.start, inputs.cam_start) == ("low_relu", "low_relu")
    assert inputs.rows is inputs.cam_rows


@pytest.mark.parametrize("freeze", ["base", "last_block"])
def test_grad_cam_from_features_is_grad_cam_from_images(freeze, store, tiny):
    images = pictures(12)
    model = built(tiny, 12, freeze)
    inputs = inputs_of(model, images, store)
    history_of(inputs)
    plain = GradCam(model.model, model.cam_layer)
    probabilities, maps = GradCam(model.model, model.cam_layer, start_layer=inputs.cam_start)(inputs.cam_rows)
    expected, expected_maps = plain(images)
    assert expected_maps.max() > 0
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(maps, expected_maps, atol=1e-5)
    np.testing.assert_allclose(
        activated(compiled_logits(inputs.trained)(inputs.rows), "multiclass"), expected, atol=1e-5
    )


def test_features_are_what_the_boundary_gives_in_inference_mode(store, tiny):
    images = pictures(12)
    model = built(tiny, 12, "last_block")
    features = inputs_of(model, images, store).rows
    below = keras.Model(model.model.input, model.model.get_layer("low_relu").output)
    np.testing.assert_allclose(features, below(images.astype(np.float32), training=False), atol=1e-5)
    assert features.dtype == np.float32


def test_an_images_features_do_not_hang_on_its_company(store, tiny):
    images = pictures(12, 70)
    model = built(tiny, 12, "last_block")
    together = inputs_of(model, images, store, "all").rows
    few = np.array([69, 3, 40])
    np.testing.assert_allclose(inputs_of(model, images[few], store, "few").rows, together[few], atol=1e-5)


@pytest.fixture
def computed(store):
    """Give a function that tells of which images features are computed anew: (done, total) at the end."""

    def count(model, digest="digest", **settings):
        reports = []
        images = pictures(12)
        inputs_of(model, images, store, digest, progress=lambda done, total: reports.append((done, total)), **settings)
        return reports[-1] if reports else None

    return count


def test_features_are_computed_once_and_anew_for_all_that_decides_them(store, tiny, computed):
    assert computed(built(tiny, 12, "last_block")) == (N, N)
    assert computed(built(tiny, 12, "last_block")) is None
    assert computed(built(tiny, 12, "base")) == (N, N)
    assert computed(built(tiny, 12, "last_block"), "other images") == (N, N)
    assert computed(built(tiny, 12, "last_block", mixed=True)) == (N, N)
    assert computed(built(tiny, 12, "last_block"), dtype="float16") == (N, N)
    start_backbone(3, False)
    other = build_model(tiny, n_outputs=2, size=12, freeze="last_block", base_seed=77, head_seed=2)
    assert computed(other) == (N, N)
    made = [entry["key"]["layer"] for entry in store.entries() if entry["what"] == "frozen features"]
    assert sorted(made) == ["head_pool", "high_relu", *["low_relu"] * 5]


def test_other_heads_share_the_features(store, tiny, computed):
    images = pictures(12)
    first = inputs_of(built(tiny, 12, "last_block"), images, store).rows
    start_backbone(8, False)
    other = build_model(tiny, n_outputs=5, size=12, freeze="last_block", base_seed=1, head_seed=6)
    assert computed(other) is None
    np.testing.assert_array_equal(inputs_of(other, images, store).rows, first)


def test_progress_is_told_batch_by_batch_and_through_all_variants(store, tiny):
    reports = []

    def tell(done, total):
        reports.append((done, total))

    model, images = built(tiny, 12, "last_block"), pictures(12, 70)
    inputs_of(model, images, store, progress=tell)
    assert reports == [(32, 70), (64, 70), (70, 70)]
    reports.clear()
    inputs_of(model, images, store, progress=tell, augmentation=CACHED)
    assert reports == [(70 * v + done, 280) for v in (1, 2, 3) for done in (32, 64, 70)]


@pytest.mark.parametrize(
    ("freeze", "augmentation", "numbers_an_image"),
    [
        ("last_block", Augmentation(), 12 * 12 * 6),
        ("base", Augmentation(), 12 * 12 * 6 + 6),
        ("last_block", CACHED, 4 * 12 * 12 * 6),
        ("base", CACHED, 12 * 12 * 6 + 4 * 6),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_nothing_is_kept_that_would_fill_more_than_half_of_the_store(
    freeze, augmentation, numbers_an_image, dtype, tmp_path, tiny
):
    images, model = pictures(12), built(tiny, 12, freeze)
    size_in_gb = N * numbers_an_image * np.dtype(dtype).itemsize / 1e9
    small, large = ArrayStore(tmp_path / "s", 1.99 * size_in_gb), ArrayStore(tmp_path / "l", 2.01 * size_in_gb)
    from_images = inputs_of(model, images, small, augmentation=augmentation, dtype=dtype)
    assert from_images.start is from_images.cam_start is None
    assert from_images.rows is from_images.cam_rows is images
    assert small.entries() == []
    assert "more than half of cache.max_gb" in from_images.params["trains_from"]
    assert inputs_of(model, images, large, augmentation=augmentation, dtype=dtype).start is not None
    kept = [entry["bytes"] for entry in large.entries() if entry["what"] == "frozen features"]
    assert 0 <= sum(kept) / 1e9 - size_in_gb <= 256 * len(kept) / 1e9


def test_nothing_is_kept_where_nothing_is_frozen(store, tiny):
    inputs = inputs_of(built(tiny, 12, "none"), pictures(12), store)
    assert inputs.start is None
    assert inputs.params == {"trains_from": "images"}
    assert store.entries() == []


@pytest.mark.parametrize("from_boundary", [False, True])
def test_fitting_changes_nothing_at_or_below_the_boundary(from_boundary, store, tmp_path, tiny):
    model = built(tiny, 12, "last_block")
    inputs = inputs_of(model, pictures(12), store if from_boundary else without_store(tmp_path))
    assert (inputs.start is not None) == from_boundary
    before = {weight.path: weight.numpy() for weight in model.model.weights}
    history_of(inputs)
    changed = {path.split("/")[0] for path, old in before.items() if not np.array_equal(old, now(model, path))}
    assert changed == {"high", "high_bn", "logits"}
    moving = [path for path in before if path.startswith("high_bn/moving")]
    assert len(moving) == 2
    assert all(not np.array_equal(before[path], now(model, path)) for path in moving)


def now(model, path):
    return next(weight.numpy() for weight in model.model.weights if weight.path == path)


def test_training_a_part_trains_the_model(store, tmp_path, tiny):
    images = pictures(12)
    model = built(tiny, 12, "last_block")
    inputs = inputs_of(model, images, store)
    history_of(inputs)
    whole = inputs_of(model, images, without_store(tmp_path))
    np.testing.assert_allclose(
        compiled_logits(whole.trained)(images), compiled_logits(inputs.trained)(inputs.rows), atol=1e-5
    )


def test_features_under_mixed_precision_are_stored_and_trained_on(store, tiny):
    images = pictures(12)
    model = built(tiny, 12, "last_block", mixed=True)
    inputs = inputs_of(model, images, store)
    assert inputs.rows.dtype == np.float32
    assert np.isfinite(history_of(inputs, mixed_precision=True)["val/loss"]).all()
    assert model.model(images[:1].astype(np.float32)).dtype == "float32"


@pytest.mark.parametrize("freeze", ["base", "last_block"])
def test_float16_features_are_the_float32_ones_rounded_by_no_more_than_is_said(freeze, store, tiny):
    images = pictures(12)
    exact = inputs_of(built(tiny, 12, freeze), images, store)
    inputs = inputs_of(built(tiny, 12, freeze), images, store, dtype="float16")
    assert inputs.rows.dtype == inputs.cam_rows.dtype == np.float16
    np.testing.assert_array_equal(inputs.cam_rows, exact.cam_rows.astype(np.float16))
    off = np.abs(inputs.cam_rows.astype(np.float32) - exact.cam_rows).max() / exact.cam_rows.max()
    assert 0 < off < 2**-11
    said = float(inputs.params["features_error"].split()[0])
    assert said >= round(off, 6)
    if freeze == "last_block":
        assert inputs.params["features_error"] == f"{off:.1e} of the largest activation"
    assert "float16" in inputs.params["trains_from"]
    np.testing.assert_allclose(history_of(inputs)["val/loss"], history_of(exact)["val/loss"], atol=5e-3)


def test_the_rounding_error_is_kept_beside_the_features_and_measured_again_where_it_is_lost(store, tiny):
    model, images = built(tiny, 12, "last_block"), pictures(12)
    first = inputs_of(model, images, store, dtype="float16")
    reports = []
    again = inputs_of(model, images, store, dtype="float16", progress=lambda *at: reports.append(at))
    assert reports == []
    for note in store.root.glob("*.json"):
        if "rounding error" in note.read_text():
            note.with_suffix(".npy").unlink()
            note.unlink()
    assert [entry["what"] for entry in store.entries()] == ["frozen features"]
    lost = inputs_of(model, images, store, dtype="float16")
    assert first.params == again.params == lost.params


def test_float32_features_have_no_rounding_error(store, tiny):
    params = inputs_of(built(tiny, 12, "last_block"), pictures(12), store).params
    assert float(params["features_error"].split()[0]) == 0
    assert params["trains_from"] == "frozen features at low_relu"


def test_activations_beyond_float16_are_refused_and_nothing_is_kept(store, tiny):
    model, images = built(tiny, 12, "last_block"), pictures(12)
    bn = model.model.get_layer("low_bn")
    bn.gamma.assign(bn.gamma * 3e5)
    with pytest.raises(InputError, match=r"tiny at its layer low_relu .* 65504.*cache\.feature_dtype to float32"):
        inputs_of(model, images, store, dtype="float16")
    assert store.entries() == []
    assert inputs_of(model, images, store).rows.max() > 65504


def test_variants_are_fixed_changed_images_and_evaluation_takes_the_plain_ones(store, tiny):
    images = pictures(12)
    model = built(tiny, 12, "last_block")
    plain = inputs_of(model, images, store)
    inputs = inputs_of(model, images, store, augmentation=CACHED)
    np.testing.assert_array_equal(inputs.rows, plain.rows)
    np.testing.assert_array_equal(inputs.cam_rows, plain.cam_rows)
    arrays = [*inputs.variants.kept, plain.rows]
    assert len(arrays) == 4
    for one in range(4):
        for other in range(one):
            assert not np.isclose(arrays[one], arrays[other], atol=1e-3).all(axis=(1, 2, 3)).any()
    below = keras.Model(model.model.input, model.model.get_layer("low_relu").output)
    for turn in range(3):
        changed = augment(
            images.astype(np.float32), tf.range(N, dtype=tf.int64), tf.constant(turn, tf.int64), CACHED, 17
        )
        np.testing.assert_allclose(inputs.variants.kept[turn], below(changed, training=False), atol=1e-4)


def test_variants_are_computed_anew_for_all_that_decides_them_and_no_more(tiny, computed):
    def again(**changes):
        seed = changes.pop("seed", 17)
        done = computed(built(tiny, 12, "last_block"), augmentation=CACHED.model_copy(update=changes), seed=seed)
        return None if done is None else done[1] // N

    assert again() == 4
    assert again() is None
    assert again(rotation=21.0) == 4
    assert again(seed=18) == 4
    assert again(variants=2) is None
    assert computed(built(tiny, 12, "last_block")) is None


@pytest.mark.parametrize(
    ("freeze", "augmentation", "said"),
    [
        ("none", Augmentation(), "images"),
        ("none", ONLINE, "images, changed anew in every epoch"),
        ("none", CACHED, "images, changed anew in every epoch (augmentation.mode is cached, but nothing is frozen)"),
        ("base", ONLINE, "images, changed anew in every epoch"),
        ("base", Augmentation(mode="cached"), "frozen features at head_pool"),
        ("base", CACHED, "frozen features at head_pool, 3 fixed variants of each image"),
        ("last_block", CACHED, "frozen features at low_relu, 3 fixed variants of each image"),
    ],
)
def test_what_is_chosen_is_said_in_params_and_log(freeze, augmentation, said, store, tiny, caplog):
    with caplog.at_level(logging.INFO, "tasks.training.features"):
        inputs = inputs_of(built(tiny, 12, freeze), pictures(12), store, augmentation=augmentation)
    assert inputs.params["trains_from"] == said
    assert f"tiny trains from {said}" in caplog.text
    assert ("features_error" in inputs.params) == (inputs.start is not None)
    assert (inputs.variants is not None) == ("variants" in said)


def test_cached_variants_without_a_frozen_part_are_images_changed_anew_in_every_epoch(store, tiny):
    courses = []
    for augmentation in (ONLINE, CACHED):
        inputs = inputs_of(built(tiny, 12, "none"), pictures(12), store, augmentation=augmentation)
        courses.append(history_of(inputs, augmentation=augmentation))
    assert courses[0].equals(courses[1])


def test_too_many_variants_for_the_store_are_made_again_and_not_exchanged_for_others(tmp_path, tiny):
    inputs = inputs_of(built(tiny, 12, "base"), pictures(12), without_store(tmp_path), augmentation=CACHED)
    assert inputs.params["trains_from"].startswith("3 fixed variants of each image, made again when needed (frozen")
    assert inputs.variants.kept == ()
    online = inputs_of(built(tiny, 12, "base"), pictures(12), without_store(tmp_path), augmentation=ONLINE)
    assert not history_of(inputs, augmentation=CACHED).equals(history_of(online, augmentation=ONLINE))
