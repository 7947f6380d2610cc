from __future__ import annotations

import numpy as np
import pytest

from tasks.backbones.build import build_model
from tasks.backbones.cut import part
from tasks.backbones.registry import get
from tasks.backbones.restart import Beginning
from tasks.config import MISSION, Training
from tasks.training.fit import Fitter, compiled_logits
from tasks.training.session import start_backbone

N = 6
Y = np.arange(N) % 3
KINDS = [*((name, "last_block") for name in (*MISSION, "xception")), ("ncnn", "none"), ("ncnn", "base")]


@pytest.fixture(autouse=True)
def _fresh():
    start_backbone(0, mixed_precision=False)
    yield
    start_backbone(0, mixed_precision=False)


def built(name, freeze, base_seed, head_seed):
    size = get(name).min_size
    return build_model(
        name, n_outputs=3, size=size, freeze=freeze, base_seed=base_seed, head_seed=head_seed, weights="none"
    )


def state(model):
    """Every variable by layer and place: weights, running statistics, states of dropouts."""
    return {
        (layer.name, place): variable.numpy()
        for layer in model.model.layers
        for place, variable in enumerate(layer.variables)
    }


def disturb(model):
    """Change every variable that training can change; give their layers and places."""
    rng = np.random.default_rng(3)
    changed = set()
    for layer in model.model.layers:
        silent = getattr(layer, "rate", None) == 0
        if not layer.trainable or silent:
            continue
        for place, variable in enumerate(layer.variables):
            old = variable.numpy()
            if np.issubdtype(old.dtype, np.integer):
                variable.assign(old + np.arange(1, old.size + 1, dtype=old.dtype).reshape(old.shape))
            else:
                variable.assign(old + rng.uniform(0.1, 0.5, old.shape).astype(old.dtype))
            changed.add((layer.name, place))
    return changed


def differing(found, expected):
    assert found.keys() == expected.keys()
    return {key for key in found if found[key].tobytes() != expected[key].tobytes()}


def pictures(name):
    size = get(name).min_size
    return np.random.default_rng(5).integers(0, 256, (N, size, size, 3), dtype=np.uint8)


def to_logits(model):
    return part(model.model, model.model.inputs[0], model.model.get_layer("logits").output)


@pytest.mark.parametrize(("name", "freeze"), KINDS)
def test_a_restored_model_is_a_newly_built_one_to_the_last_bit(name, freeze):
    model = built(name, freeze, base_seed=1, head_seed=2)
    beginning, forward = Beginning(model, base_seed=1), compiled_logits(to_logits(model))
    before, logits = state(model), forward(pictures(name))
    trained = {layer.name for layer in model.model.layers if layer.trainable_variables}

    changed = disturb(model)
    assert differing(state(model), before) == changed
    assert {layer for layer, _ in changed} >= trained
    assert not np.array_equal(forward(pictures(name)), logits)

    beginning.restore(1, 2)
    assert differing(state(model), before) == set()
    np.testing.assert_array_equal(forward(pictures(name)), logits)

    disturb(model)
    base_seed = 7 if freeze == "none" else 1
    beginning.restore(base_seed, 3)
    assert differing(state(model), state(built(name, freeze, base_seed, 3))) == set()
    assert not np.array_equal(forward(pictures(name)), logits)


def course(fitter, name):
    history = fitter.fit(pictures(name), Y, np.arange(4), np.arange(4, N), ("a", "b", "c"), seed=4)
    return history.drop(columns="seconds")


@pytest.mark.parametrize(
    ("name", "freeze"),
    [("ncnn", "none"), ("ncnn", "last_block"), ("ncnn", "base"), ("vgg16", "last_block")],
)
def test_a_fit_after_restoring_is_the_fit_of_a_new_model_to_the_last_bit(name, freeze):
    training = Training(epochs=2, batch_size=2, early_stopping_patience=None)
    model = built(name, freeze, base_seed=1, head_seed=2)
    beginning, fitter = Beginning(model, base_seed=1), Fitter(to_logits(model), training)
    first = course(fitter, name)
    base_seed = 7 if freeze == "none" else 1
    beginning.restore(base_seed, 3)
    again = course(fitter, name)
    new = built(name, freeze, base_seed, 3)
    assert again.equals(course(Fitter(to_logits(new), training), name))
    assert not again.equals(first)
    assert differing(state(model), state(new)) == set()
