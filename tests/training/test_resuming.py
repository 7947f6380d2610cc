from __future__ import annotations

import os
import time
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tasks.config import Training
from tasks.training.fit import Fitter
from tasks.training.session import start_backbone
from tasks.training.states import SHARE, FitState, States
from tasks.training.variants import Variants
from tasks.workers.watch import is_out_of_memory

CLASSES = ("a", "b", "c")
N = 48
TRAIN, VALIDATION = np.arange(36), np.arange(36, N)
EPOCHS = 9
STOPPING = {"epochs": EPOCHS, "batch_size": 8, "early_stopping_patience": 3, "reduce_lr_patience": 1}
CHANGED = {"augmentation": {"horizontal_flip": True, "rotation": 20, "brightness": 0.1}}

RNG = np.random.default_rng(2)
Y = RNG.integers(0, 3, N)
IMAGES = np.clip(RNG.normal(90, 40, (N, 10, 10, 3)) + 30 * Y[:, None, None, None], 0, 255).astype(np.uint8)
POOLED = (IMAGES.reshape(N, -1)[:, :40] / 255).astype(np.float32)


class Killed(Exception):
    pass


@pytest.fixture(autouse=True)
def _fresh():
    start_backbone(0, mixed_precision=False)
    yield
    start_backbone(0, mixed_precision=False)


def head():
    """What is trained above frozen features: dense, dropout, logits."""
    inputs = keras.Input((40,))
    x = keras.layers.Dense(8, activation="relu", kernel_initializer=keras.initializers.GlorotUniform(1))(inputs)
    x = keras.layers.Dropout(0.4, seed=5)(x)
    return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(2))(x))


def whole(frozen=False):
    """A small convolutional network, batch normalisation and dropout included."""
    inputs = keras.Input((10, 10, 3))
    base = keras.layers.Conv2D(4, 3, kernel_initializer=keras.initializers.GlorotUniform(1))
    base.trainable = not frozen
    x = keras.layers.BatchNormalization()(base(inputs / 255.0))
    x = keras.layers.Dropout(0.3, seed=7)(keras.layers.GlobalAveragePooling2D()(keras.ops.relu(x)))
    return keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=keras.initializers.GlorotUniform(2))(x))


def of_variants():
    own = np.random.default_rng(4)
    return Variants(3, 3, tuple(POOLED + own.normal(0, 0.1, POOLED.shape).astype(np.float32) for _ in range(3)))


SGD = {"optimizer": {"name": "sgd", "learning_rate": 0.3, "momentum": 0.9}}
CASES = {
    "whole": (whole, IMAGES, {}, None),
    "whole, changed images": (whole, IMAGES, CHANGED, None),
    "partly frozen": (lambda: whole(frozen=True), IMAGES, SGD, None),
    "features": (head, POOLED, {"optimizer": {"learning_rate": 0.1}}, None),
    "features, variants": (head, POOLED, CHANGED | {"optimizer": {"name": "rmsprop"}}, of_variants),
    "mixed precision": (head, POOLED, {"mixed_precision": True}, None),
}


class Bench:
    """A case's model and its fitter, compiled once; every fit begins with the first weights, as in a new process."""

    def __init__(self, case, **changes):
        build, self.inputs, settings, variants = CASES[case]
        start_backbone(0, mixed_precision=settings.get("mixed_precision", False))
        self.model = build()
        self.first = [variable.numpy().copy() for variable in self.model.variables]
        training = Training.model_validate(STOPPING | settings | changes)
        self.fitter = Fitter(self.model, training, variants and variants())

    def fit(self, states=None, kill_after=None, on_resume=None):
        """Give the history, the weights and all random states, and the epochs that were done."""
        for variable, value in zip(self.model.variables, self.first, strict=True):
            variable.assign(value)
        done = []

        def after(epoch, _row):
            done.append(epoch)
            if epoch == kill_after:
                raise Killed

        named = {"seed": 1, "on_epoch": after, "states": states, "on_resume": on_resume}
        history = self.fitter.fit(self.inputs, Y, TRAIN, VALIDATION, CLASSES, **named)
        weights = [variable.numpy().tobytes() for variable in self.model.variables]
        return SimpleNamespace(history=history.drop(columns="seconds"), weights=weights, done=done)

    def kill(self, states, after, on_resume=None):
        with pytest.raises(Killed):
            self.fit(states, after, on_resume)


def kept_in(file, **identity):
    """A state that is written after every epoch, however short."""
    return States(file, {"fingerprint": "f"} | identity, 1.0, share=np.inf)


@pytest.fixture(scope="module")
def features():
    return Bench("features")


@pytest.fixture(scope="module")
def expected(features):
    return features.fit()


@pytest.mark.parametrize("case", CASES)
def test_a_fit_killed_again_and_again_ends_as_if_it_had_never_been(case, tmp_path):
    bench, file, told = Bench(case), tmp_path / "states" / "f.npz", []
    whole_fit = bench.fit()
    last = whole_fit.done[-1]
    for epoch in (0, 1, 3, last):
        bench.kill(kept_in(file), epoch, lambda rows: told.append(len(rows)))
    resumed = bench.fit(kept_in(file), on_resume=lambda rows: told.append(len(rows)))
    pd.testing.assert_frame_equal(resumed.history, whole_fit.history, check_exact=True)
    assert resumed.weights == whole_fit.weights
    assert resumed.done == [last], "the epoch that was cut off, and no other"
    assert told == [1, 3, last]
    COURSES[case] = whole_fit.history


COURSES = {}


def test_the_cases_cut_their_rate_and_stop_early_somewhere():
    assert any(history["learning_rate"].nunique() > 1 for history in COURSES.values())
    assert any(len(history) < EPOCHS for history in COURSES.values())


def test_a_fit_that_was_done_is_not_done_again(features, expected, tmp_path):
    for done in (expected.done, []):
        found = features.fit(kept_in(tmp_path / "f.npz"))
        assert found.done == done
        assert found.weights == expected.weights
        pd.testing.assert_frame_equal(found.history, expected.history, check_exact=True)


def damage(file, how):
    content = bytearray(file.read_bytes())
    if how == "cut short":
        content = content[: len(content) // 2]
    elif how == "flipped bits":
        content[len(content) // 2] ^= 0xFF
    else:
        content = bytearray(b"no archive at all" if how == "foreign" else b"")
    file.write_bytes(bytes(content))


@pytest.mark.parametrize("how", ["cut short", "flipped bits", "foreign", "empty"])
def test_a_damaged_state_is_not_used_and_the_reason_is_logged(how, features, expected, tmp_path, caplog):
    file = tmp_path / "f.npz"
    features.kill(kept_in(file), 3)
    damage(file, how)
    found = features.fit(kept_in(file))
    assert str(file) in caplog.text
    assert "it is damaged" in caplog.text
    assert found.weights == expected.weights
    assert found.done == expected.done


def test_a_state_of_another_fit_is_not_used(features, tmp_path, caplog):
    file = tmp_path / "f.npz"
    features.kill(kept_in(file), 3)
    assert features.fit(kept_in(file, machine="another")).done[0] == 0
    assert "machine" in caplog.text


def test_a_state_of_another_model_is_not_used(features, tmp_path, caplog):
    file = tmp_path / "f.npz"
    features.kill(kept_in(file), 3)
    assert Bench("whole").fit(kept_in(file)).done[0] == 0
    assert "not those of this model" in caplog.text


def test_a_folder_that_cannot_be_written_costs_the_state_and_not_the_fit(features, expected, tmp_path, caplog):
    (tmp_path / "states").write_text("a file where the folder should be", encoding="utf-8")
    assert features.fit(kept_in(tmp_path / "states" / "f.npz")).weights == expected.weights
    assert caplog.text.count("cannot be kept") == 1


def test_states_beyond_the_bound_make_room_the_oldest_first(features, tmp_path):
    for number, name in enumerate(("old", "older")):
        (tmp_path / f"{name}.npz").write_bytes(bytes(600))
        stamp = time.time() - 100 * (number + 1)
        os.utime(tmp_path / f"{name}.npz", (stamp, stamp))
    features.kill(kept_in(tmp_path / "f.npz"), 2)
    size = (tmp_path / "f.npz").stat().st_size
    assert {file.name for file in tmp_path.iterdir()} == {"f.npz", "old.npz", "older.npz"}
    states = States(tmp_path / "f.npz", {"fingerprint": "f"}, (size + 1000) / 1e9)
    states.write(states.read())
    assert {file.name for file in tmp_path.iterdir()} == {"f.npz", "old.npz"}
    assert not States(tmp_path / "g.npz", {}, size / 1e9).due(size + 1)


def test_what_a_killed_writer_left_goes_with_the_state(tmp_path):
    states = States(tmp_path / "f.npz", {}, 1.0)
    for name in ("f.npz", "f.123.tmp", "other.npz"):
        (tmp_path / name).write_bytes(b"x")
    states.forget()
    assert [file.name for file in tmp_path.iterdir()] == ["other.npz"]


def test_writing_takes_its_share_of_the_time_and_no_more(tmp_path):
    states = States(tmp_path / "f.npz", {}, 1.0)
    states.read()
    large = FitState({}, {"x": np.zeros(500_000)})
    started, wrote, times = time.perf_counter(), 0.0, 0
    while time.perf_counter() - started < 2.0:
        time.sleep(0.002)
        if states.due(4_000_000):
            began = time.perf_counter()
            states.write(large)
            wrote, times = wrote + time.perf_counter() - began, times + 1
    assert times > 0
    assert wrote <= 2 * SHARE * (time.perf_counter() - started)


def test_tensorflows_want_of_memory_is_known():
    fault = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape [4096]")
    assert is_out_of_memory(fault)
    assert not is_out_of_memory(tf.errors.InvalidArgumentError(None, None, "no"))
