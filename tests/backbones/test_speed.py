from __future__ import annotations

import time

import numpy as np
import pytest

from tasks.backbones import speed
from tasks.backbones.build import build_model
from tasks.backbones.speed import LEAST_CALLS, images_per_second


@pytest.fixture(scope="module")
def model():
    return build_model("ncnn", n_outputs=3, size=34, freeze="none").model


def test_a_model_predicts_as_before_once_it_has_been_timed(model):
    images = np.random.default_rng(0).integers(0, 256, (3, 34, 34, 3)).astype(np.float32)
    before, weights = model.predict(images, verbose=0), [w.copy() for w in model.get_weights()]
    found = images_per_second(model, (1, 4), window=0.05)
    assert list(found) == [1, 4]
    assert all(rate > 0 for rate in found.values())
    np.testing.assert_array_equal(model.predict(images, verbose=0), before)
    assert all(np.array_equal(own, kept) for own, kept in zip(model.get_weights(), weights, strict=True))


@pytest.mark.parametrize(("seconds", "calls"), [([5.0, 3.0], 2), ([0.4, 0.2, 0.3, 0.9], 3)])
def test_the_fastest_call_of_the_window_counts(monkeypatch, seconds, calls):
    now, left = [0.0], iter(seconds)

    def call():
        now[0] += next(left)

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    assert speed._fastest(call, 0.7) == pytest.approx(min(seconds[:calls]))
    assert len(list(left)) == len(seconds) - calls


def test_the_speed_is_that_of_the_fastest_call_by_batch_size(model, monkeypatch):
    monkeypatch.setattr(speed, "_fastest", lambda call, _: len(call()) / 100)
    assert images_per_second(model, (1, 5)) == {1: pytest.approx(100), 5: pytest.approx(100)}
    assert LEAST_CALLS > 1
