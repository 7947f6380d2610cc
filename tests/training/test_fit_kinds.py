from __future__ import annotations

import keras
import numpy as np
import pytest

from tasks.config import Training
from tasks.evaluation.metrics import metrics_of, score
from tasks.evaluation.outputs import activated, class_probabilities, decide, encode
from tasks.training.fit import Diverged, Fitter, predict
from tasks.training.losses import sample_weights
from tasks.training.session import start_backbone
from tasks.training.variants import Variants

N, CLASSES = 60, ("a", "b", "c")
TRAIN, VALIDATION = np.arange(40), np.arange(40, 60)
KINDS = ["multilabel", "ordinal"]
FAST = {"name": "adam", "learning_rate": 0.1}


@pytest.fixture(autouse=True)
def _fresh():
    start_backbone(0, mixed_precision=False)
    yield
    start_backbone(0, mixed_precision=False)


def pictures(kind):
    """Give pictures with noise and their labels: which colours are lit, some none, or how bright a grade is."""
    rng = np.random.default_rng(3)
    if kind == "multilabel":
        y = rng.integers(0, 2, (N, 3))
        y[:2] = y[40:42] = [[0, 0, 0], [1, 1, 1]]
        light = 60 + 120 * y
    else:
        y = np.arange(N) % 3
        light = np.repeat(50 + 70 * y[:, None], 3, axis=1)
    return np.clip(light[:, None, None] + rng.normal(0, 9, (N, 8, 8, 3)), 0, 255).astype(np.float32), y


def network():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 64, -2)(inputs))
    initial = keras.initializers.RandomNormal(stddev=0.5, seed=3)
    return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=initial, name="logits", dtype="float32")(x))


def fitted(kind, *, data=None, **settings):
    x, y = pictures(kind) if data is None else data
    fitter = Fitter(network(), Training.model_validate({"epochs": 3, "batch_size": 8} | settings), kind=kind)
    history = fitter.fit(x, y, TRAIN, VALIDATION, CLASSES, seed=0)
    return history.drop(columns="seconds"), fitter


def probabilities_of(fitter, kind, rows):
    return class_probabilities(activated(predict(fitter.forward, pictures(kind)[0], rows), kind), kind)


@pytest.mark.parametrize("kind", KINDS)
def test_colours_and_grades_of_brightness_are_learnt(kind):
    history, fitter = fitted(kind, epochs=50, optimizer=FAST, early_stopping_patience=None)
    losses = history["train/loss"].to_numpy()
    assert losses[-1] < 0.3 * losses[0]
    everything = np.arange(N)
    decided = decide(probabilities_of(fitter, kind, everything), kind)
    np.testing.assert_array_equal(decided, pictures(kind)[1])
    assert history[f"val/{'subset_accuracy' if kind == 'multilabel' else 'quadratic_kappa'}"].max() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_history_holds_the_metrics_of_the_kind_after_the_epoch(kind):
    y = pictures(kind)[1]
    history, fitter = fitted(kind, epochs=1)
    names = {f"{part}/{name}" for part in ("train", "val") for name in ("loss", *metrics_of(kind))}
    assert set(history.columns) == names | {"epoch", "learning_rate"}
    found = score(y[VALIDATION], probabilities_of(fitter, kind, VALIDATION), CLASSES, kind=kind)
    for name in metrics_of(kind):
        assert history[f"val/{name}"][0] == pytest.approx(found[name], abs=1e-12)
    logits = predict(fitter.forward, pictures(kind)[0], VALIDATION)
    expected = keras.losses.binary_crossentropy(encode(y[VALIDATION], kind, 3), logits, from_logits=True)
    assert history["val/loss"][0] == pytest.approx(float(np.mean(expected)), abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_is_gradient_descent_on_the_weighted_loss(kind):
    x, y = pictures(kind)
    kernel, bias = (np.asarray(value, float) for value in network().get_weights())
    features, targets = x[TRAIN].astype(float).mean(axis=(1, 2)) / 64 - 2, encode(y, kind, 3)[TRAIN]
    weight = sample_weights(y, TRAIN, "balanced")[TRAIN]
    logits = features @ kernel + bias
    weight = weight.reshape(len(TRAIN), -1)  # one an image, or one for each of its labels
    slope = weight * (activated(logits, kind) - targets) / (3 * len(TRAIN))
    optimizer = {"name": "sgd", "learning_rate": 0.3, "momentum": 0}
    history, fitter = fitted(kind, epochs=1, batch_size=40, optimizer=optimizer, class_weights="balanced")
    assert len(np.unique(weight)) > 1
    loss = (weight * np.logaddexp(0, np.where(targets == 1, -logits, logits))).mean()
    assert history["train/loss"][0] == pytest.approx(loss, abs=1e-5)
    after = features @ (kernel - 0.3 * features.T @ slope) + bias - 0.3 * slope.sum(axis=0)
    np.testing.assert_allclose(fitter.forward(x[TRAIN]), after, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_only_training_and_validation_labels_are_looked_at(kind):
    x, y = pictures(kind)
    poisoned = y.copy()
    poisoned[:5] = 1 - poisoned[:5] if kind == "multilabel" else 2
    training = Training.model_validate({"epochs": 2, "batch_size": 8, "class_weights": "balanced"})
    courses = []
    for labels in (y, poisoned):
        fitter = Fitter(network(), training, kind=kind)
        courses.append(fitter.fit(x, labels, TRAIN[5:], VALIDATION, CLASSES, seed=1).drop(columns="seconds"))
    assert not np.array_equal(y, poisoned)
    assert courses[0].equals(courses[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_fitter_begins_anew_each_time(kind):
    x, y = pictures(kind)
    model = network()
    beginning = model.get_weights()
    settings = {"epochs": 5, "batch_size": 8, "reduce_lr_patience": 1, "early_stopping_patience": 3}
    augmentation = {"augmentation": {"horizontal_flip": True, "brightness": 0.05}}
    fitter = Fitter(model, Training.model_validate(settings | augmentation | {"optimizer": FAST}), kind=kind)
    courses = []
    for _ in range(2):
        model.set_weights(beginning)
        courses.append(fitter.fit(x, y, TRAIN, VALIDATION, CLASSES, seed=3).drop(columns="seconds"))
    assert courses[0].equals(courses[1])
    assert courses[0]["train/loss"].iloc[-1] < courses[0]["train/loss"].iloc[0]


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_has_losses_that_are_numbers_and_logits_in_float32(kind):
    start_backbone(0, mixed_precision=True)
    history, fitter = fitted(kind, mixed_precision=True, epochs=8, optimizer=FAST)
    assert np.isfinite(history[["train/loss", "val/loss"]].to_numpy()).all()
    assert history["val/loss"].min() < history["val/loss"][0]
    assert predict(fitter.forward, pictures(kind)[0], VALIDATION).dtype == np.float32


@pytest.mark.parametrize("kind", KINDS)
def test_variants_are_trained_on_with_the_labels_of_their_images(kind):
    x, y = pictures(kind)
    training = Training.model_validate({"epochs": 3, "batch_size": 8, "class_weights": "balanced"})
    courses = []
    for kept in ((x, x), (x, x[::-1])):
        fitter = Fitter(network(), training, Variants(0, 2, kept), kind)
        courses.append(fitter.fit(x, y, TRAIN, VALIDATION, CLASSES, seed=0).drop(columns="seconds"))
    plain, _ = fitted(kind, class_weights="balanced")
    assert courses[0].equals(plain)
    assert not courses[1]["train/loss"].equals(plain["train/loss"])


@pytest.mark.parametrize(("kind", "row", "where"), [("multilabel", 3, "training"), ("ordinal", 45, "validation")])
def test_a_loss_that_is_no_number_ends_the_fit_with_the_reason(kind, row, where):
    x, y = pictures(kind)
    x[row] = np.nan
    with pytest.raises(Diverged, match=f"the {where} loss became nan in epoch 1"):
        fitted(kind, data=(x, y))
