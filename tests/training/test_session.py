from __future__ import annotations

import keras
import numpy as np
import pytest

from tasks.training.session import derived_seed, start_backbone


@pytest.fixture(autouse=True)
def _afterwards():
    yield
    start_backbone(0, mixed_precision=False)


def test_every_backbone_and_fold_gets_a_seed_of_its_own():
    seeds = {derived_seed(seed, name, fold) for seed in range(3) for name in ("ncnn", "vgg16") for fold in range(5)}
    assert len(seeds) == 30
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_derived_seed_is_the_same_for_ever():
    assert derived_seed(0, "ncnn", 0, "fit") == int.from_bytes(bytes.fromhex(SHA256_OF_0_NCNN_0_FIT), "big") >> 1


SHA256_OF_0_NCNN_0_FIT = "e147145e"


def state():
    """Draw from every source of randomness that a model could use, and name a layer."""
    return (
        keras.layers.Dense(2).name,
        np.random.default_rng(np.random.randint(2**31)).random(),
        keras.ops.convert_to_numpy(keras.random.uniform((3,))).tolist(),
        keras.initializers.GlorotUniform()((2, 2)).numpy().tolist(),
    )


def test_a_backbone_starts_as_in_a_fresh_process_whatever_ran_before():
    start_backbone(5, mixed_precision=False)
    first = state()
    state()
    start_backbone(6, mixed_precision=True)
    other = state()
    start_backbone(5, mixed_precision=False)
    assert state() == first
    assert other[1:] != first[1:]


def test_the_precision_of_one_backbone_does_not_stay_for_the_next():
    start_backbone(0, mixed_precision=True)
    assert keras.mixed_precision.global_policy().name == "mixed_float16"
    start_backbone(0, mixed_precision=False)
    assert keras.mixed_precision.global_policy().name == "float32"
