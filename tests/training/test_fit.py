from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from tasks.config import Training
from tasks.evaluation.metrics import metrics_of
from tasks.training.fit import Diverged, Fitter, compiled_logits, predict
from tasks.training.session import start_backbone

CLASSES = ("a", "b", "c")
N = 60
TRAIN, VALIDATION = np.arange(40), np.arange(40, 60)


@pytest.fixture(autouse=True)
def _fresh():
    start_backbone(0, mixed_precision=False)
    yield
    start_backbone(0, mixed_precision=False)


def blobs(spread=1.0):
    """Three overlapping clouds of points, and which cloud each is of; the classes differ in size."""
    rng = np.random.default_rng(1)
    y = rng.choice(3, N, p=[0.6, 0.3, 0.1])
    y[:6] = y[40:46] = [0, 1, 2, 0, 1, 2]
    centres = np.array([[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0]])
    return (centres[y] + rng.normal(0, spread, (N, 4))).astype(np.float32), y


def linear():
    """A model of one dense layer, its weights always the same."""
    inputs = keras.Input((4,))
    initial = keras.initializers.RandomNormal(stddev=0.5, seed=3)
    return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=initial, name="logits")(inputs))


def trained(model=None, *, data=None, train=TRAIN, validation=VALIDATION, seed=0, on_epoch=None, **settings):
    model = model or linear()
    x, y = blobs() if data is None else data
    training = Training.model_validate({"epochs": 3, "batch_size": 8} | settings)
    return Fitter(model, training).fit(x, y, train, validation, CLASSES, seed=seed, on_epoch=on_epoch), model


def losses_of(model, x, y):
    return -log_softmax(compiled_logits(model)(x).astype(float), axis=1)[np.arange(len(y)), y]


def sgd(rate, momentum=0.0):
    return {"name": "sgd", "learning_rate": rate, "momentum": momentum}


def test_the_history_has_a_row_an_epoch_with_loss_and_every_metric_of_both_parts():
    history, _ = trained()
    names = {f"{part}/{name}" for part in ("train", "val") for name in ("loss", *metrics_of("multiclass"))}
    assert set(history.columns) == names | {"epoch", "learning_rate", "seconds"}
    assert history["epoch"].tolist() == [0, 1, 2]
    assert history["epoch"].dtype == int
    assert np.isfinite(history.to_numpy()).all()
    assert (history["seconds"] > 0).all()


def test_each_epochs_row_is_told_as_soon_as_it_is_there():
    told = []
    history, _ = trained(on_epoch=lambda epoch, row: told.append((epoch, dict(row))))
    assert [epoch for epoch, _ in told] == [0, 1, 2]
    assert [row for _, row in told] == history.to_dict("records")


def test_the_validation_figures_are_those_of_the_model_after_the_epoch():
    x, y = blobs()
    history, model = trained(epochs=1)
    probabilities = softmax(compiled_logits(model)(x[VALIDATION]).astype(float), axis=1)
    assert history["val/loss"][0] == pytest.approx(losses_of(model, x[VALIDATION], y[VALIDATION]).mean(), abs=1e-12)
    assert history["val/accuracy"][0] == (probabilities.argmax(axis=1) == y[VALIDATION]).mean()


def analytic_step(x, y, weight, rate):
    """One step of gradient descent on the mean weighted cross-entropy of the linear model."""
    kernel, bias = (np.asarray(value, float) for value in linear().get_weights())
    slope = weight[:, None] * (softmax(x @ kernel + bias, axis=1) - np.eye(3)[y]) / len(y)
    loss = -(weight * log_softmax(x @ kernel + bias, axis=1)[np.arange(len(y)), y]).mean()
    return loss, kernel - rate * x.T @ slope, bias - rate * slope.sum(axis=0)


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
def test_one_step_is_gradient_descent_on_the_weighted_loss(class_weights):
    x, y = blobs()
    counts = np.bincount(y[TRAIN], minlength=3)
    by_class = len(TRAIN) / (3 * counts) if class_weights == "balanced" else np.ones(3)
    loss, kernel, bias = analytic_step(x[TRAIN].astype(float), y[TRAIN], by_class[y[TRAIN]], rate=0.3)
    history, model = trained(epochs=1, batch_size=40, optimizer=sgd(0.3), class_weights=class_weights)
    assert len(set(counts)) == 3
    assert history["train/loss"][0] == pytest.approx(loss, abs=1e-5)
    np.testing.assert_allclose(model.get_weights()[0], kernel, atol=1e-5)
    np.testing.assert_allclose(model.get_weights()[1], bias, atol=1e-5)


def slopes():
    """Give the linear model's first weights, and what one step of plain gradient descent at rate 1 takes off them."""
    x, y = blobs()
    before = [np.asarray(value, float) for value in linear().get_weights()]
    after = analytic_step(x[TRAIN].astype(float), y[TRAIN], np.ones(len(TRAIN)), rate=1.0)[1:]
    return before, [old - new for old, new in zip(before, after, strict=True)]


@pytest.mark.parametrize(
    ("name", "step"),
    [("sgd", lambda slope: slope), ("rmsprop", lambda slope: slope / np.sqrt(0.1 * slope**2 + 1e-7))],
)
def test_weight_decay_takes_a_share_off_the_weights_apart_from_the_gradient(name, step):
    optimizer = {"name": name, "learning_rate": 0.03, "momentum": 0, "weight_decay": 0.5}
    _, model = trained(epochs=1, batch_size=40, optimizer=optimizer)
    for found, old, slope in zip(model.get_weights(), *slopes(), strict=True):
        np.testing.assert_allclose(found, old * (1 - 0.5 * 0.03) - 0.03 * step(slope), atol=1e-5)


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop"])
def test_no_weight_decay_is_none_to_the_last_bit(name):
    courses = [trained(optimizer={"name": name, "weight_decay": decay})[0] for decay in (None, 0, 0.9)]
    null, zero, decayed = (course.drop(columns="seconds") for course in courses)
    assert null.equals(zero)
    assert not decayed["val/loss"].equals(null["val/loss"])


def test_class_weights_leave_the_validation_loss_as_it_is():
    x, y = blobs()
    history, model = trained(epochs=1, class_weights="balanced")
    assert history["val/loss"][0] == pytest.approx(losses_of(model, x[VALIDATION], y[VALIDATION]).mean(), abs=1e-12)


def test_the_weights_of_the_best_epoch_are_restored_exactly():
    x, y = blobs(spread=2.0)
    kept = []
    model = linear()
    history, _ = trained(
        model,
        data=(x, y),
        epochs=40,
        batch_size=4,
        optimizer=sgd(1.5, 0.9),
        early_stopping_patience=5,
        reduce_lr_patience=None,
        on_epoch=lambda *_: kept.append([value.copy() for value in model.get_weights()]),
    )
    best = int(history["val/loss"].idxmin())
    assert best < len(history) - 1
    for restored, then in zip(model.get_weights(), kept[best], strict=True):
        np.testing.assert_array_equal(restored, then)
    assert losses_of(model, x[VALIDATION], y[VALIDATION]).mean() == history["val/loss"].min()


def test_training_stops_after_so_many_epochs_without_a_better_validation_loss():
    history, _ = trained(
        data=blobs(spread=2.0), epochs=60, optimizer=sgd(1.5, 0.9), early_stopping_patience=3, reduce_lr_patience=None
    )
    losses = history["val/loss"].to_numpy()
    assert len(losses) < 60
    assert len(losses) - 1 - losses.argmin() == 3
    since = np.array([epoch - losses[: epoch + 1].argmin() for epoch in range(len(losses))])
    assert (since[:-1] < 3).all()


def test_without_a_patience_all_epochs_are_run_and_the_best_weights_restored_all_the_same():
    x, y = blobs(spread=2.0)
    history, model = trained(
        data=(x, y), epochs=25, optimizer=sgd(1.5, 0.9), early_stopping_patience=None, reduce_lr_patience=None
    )
    assert len(history) == 25
    assert history["val/loss"].idxmin() < 24
    assert losses_of(model, x[VALIDATION], y[VALIDATION]).mean() == history["val/loss"].min()


def plateau(**settings):
    """Train a model that cannot get better: its inputs say nothing and its classes are even."""
    y = np.arange(N) % 3
    x = np.zeros((N, 4), np.float32)
    return trained(data=(x, y), epochs=7, early_stopping_patience=None, **settings)[0]["learning_rate"].to_numpy()


@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_the_learning_rate_is_cut_on_a_plateau(name):
    optimizer = {"name": name, "learning_rate": 0.01}
    rates = plateau(optimizer=optimizer, reduce_lr_patience=2, reduce_lr_factor=0.5)
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025], rtol=1e-6)
    np.testing.assert_allclose(plateau(optimizer=optimizer, reduce_lr_patience=None), 0.01, rtol=1e-6)


def test_a_training_loss_that_is_no_number_ends_the_fit_with_the_reason():
    x, y = blobs()
    x[3] = np.inf
    with pytest.raises(Diverged, match=r"the training loss became (nan|inf) in epoch 1: .*learning_rate"):
        trained(data=(x, y))


def test_a_validation_loss_that_is_no_number_ends_the_fit_with_the_reason():
    x, y = blobs()
    x[45] = np.nan
    with pytest.raises(Diverged, match=r"the validation loss became nan in epoch 1"):
        trained(data=(x, y))


@pytest.mark.parametrize("batch_size", [8, 40])
def test_a_learning_rate_beyond_all_measure_diverges_rather_than_giving_a_model(batch_size):
    with pytest.raises(Diverged, match="the fit diverged"):
        trained(with_dropout(), epochs=50, optimizer=sgd(1e30), batch_size=batch_size)


def test_only_training_and_validation_rows_are_looked_at():
    x, y = blobs()
    train, validation = np.arange(5, 30), np.arange(40, 50)
    settings = {"train": train, "validation": validation, "class_weights": "balanced"}
    clean, model = trained(data=(x, y), **settings)
    poisoned, labels = np.full_like(x, np.nan), np.full_like(y, 2)
    used = np.concatenate([train, validation])
    poisoned[used], labels[used] = x[used], y[used]
    again, other = trained(data=(poisoned, labels), **settings)
    assert again.drop(columns="seconds").equals(clean.drop(columns="seconds"))
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def with_dropout():
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(16, "relu", kernel_initializer=keras.initializers.GlorotUniform(2))(inputs)
    hidden = keras.layers.Dropout(0.5, seed=7)(hidden)
    return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(4))(hidden))


def figures(model, **settings):
    return trained(model, **settings)[0].drop(columns="seconds").to_numpy().tobytes()


def test_the_same_seed_gives_the_same_history_to_the_last_bit_and_another_seed_another():
    first = figures(with_dropout(), seed=4)
    assert figures(with_dropout(), seed=4) == first
    assert figures(with_dropout(), seed=5) != first


def test_a_batch_without_an_example_of_some_class_is_no_trouble():
    x, y = blobs()
    history, _ = trained(data=(x, np.where(y == 2, 0, y)), batch_size=1, epochs=1)
    assert "train/roc_auc" in history
    assert np.isfinite(history["val/loss"]).all()


def test_predictions_come_in_the_order_of_the_rows_one_batch_in_memory_at_a_time():
    sizes = []

    def forward(batch):
        sizes.append(len(batch))
        return batch * 2

    inputs = np.arange(100.0)[:, None]
    rows = np.random.default_rng(0).permutation(100)[:70]
    np.testing.assert_array_equal(predict(forward, inputs, rows), inputs[rows] * 2)
    assert max(sizes) <= 32


def small_network():
    """A convolutional network as the backbones are: logits in float32 whatever the precision of the rest."""
    inputs = keras.Input((8, 8, 3), dtype="float32")
    x = keras.layers.Rescaling(1 / 255, dtype="float32")(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, dtype="float32", name="logits")(x))


def colours():
    """Plain pictures in three colours with noise."""
    y = np.arange(N) % 3
    noise = np.random.default_rng(0).normal(0, 9, (N, 8, 8, 3))
    return np.clip(90 + 120 * np.eye(3)[y][:, None, None] + noise, 0, 255), y


def test_mixed_precision_trains_a_network_with_float16_inside_and_float32_logits():
    start_backbone(0, mixed_precision=True)
    model = small_network()
    history, _ = trained(
        model, data=colours(), epochs=12, mixed_precision=True, optimizer={"name": "adam", "learning_rate": 0.05}
    )
    assert model.get_layer("conv").compute_dtype == "float16"
    assert model.get_layer("conv").kernel.dtype == "float32"
    logits = model(colours()[0][:2].astype(np.float32))
    assert logits.dtype == "float32"
    assert compiled_logits(model)(colours()[0][:2]).dtype == np.float32
    assert history["val/loss"].min() < 0.5 * history["val/loss"][0]
    assert history["val/accuracy"].max() == 1


def test_mixed_precision_comes_to_the_same_as_full_precision_but_for_rounding():
    rate = {"name": "sgd", "learning_rate": 0.1}
    full, _ = trained(small_network(), data=colours(), optimizer=rate)
    start_backbone(0, mixed_precision=True)
    mixed, _ = trained(small_network(), data=colours(), mixed_precision=True, optimizer=rate)
    np.testing.assert_allclose(mixed["val/loss"], full["val/loss"], rtol=0.02)


def test_mixed_precision_cuts_the_learning_rate_too():
    start_backbone(0, mixed_precision=True)
    rates = plateau(mixed_precision=True, optimizer=sgd(0.01), reduce_lr_patience=2, reduce_lr_factor=0.5)
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.01, 0.005, 0.005, 0.0025, 0.0025], rtol=1e-6)


def test_a_fitter_begins_anew_each_time():
    x, y = blobs()
    model = linear()
    beginning = model.get_weights()
    settings = {"epochs": 6, "batch_size": 8, "reduce_lr_patience": 1, "early_stopping_patience": 3}
    fitter = Fitter(model, Training.model_validate(settings | {"optimizer": {"learning_rate": 0.5}}))
    courses = []
    for _ in range(2):
        model.set_weights(beginning)
        courses.append(fitter.fit(x, y, TRAIN, VALIDATION, CLASSES, seed=3).drop(columns="seconds"))
    assert courses[0]["learning_rate"].nunique() > 1
    assert courses[0].equals(courses[1])
