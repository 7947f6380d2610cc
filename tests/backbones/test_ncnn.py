from __future__ import annotations

import keras
import pytest

from tasks.backbones.build import build_model
from tasks.backbones.ncnn import SIZES, ncnn
from tasks.backbones.registry import get
from tasks.config import InputError


def test_it_has_the_published_number_of_parameters():
    assert build_model("ncnn", n_outputs=1, activation="sigmoid").model.count_params() == 72_593
    assert build_model("ncnn", n_outputs=2).model.count_params() == 72_602


def test_it_has_the_published_layers():
    model = build_model("ncnn", n_outputs=2, freeze="none").model
    shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}
    assert shapes["left_pool"] == (12, 12, 3)
    assert shapes["centre_pool_2"] == shapes["right_pool"] == (12, 12, 64)
    assert shapes["concatenated"] == (12, 12, 131)
    assert shapes["conv_2x2_"] == (11, 11, 64)
    assert shapes["head_flatten"] == (1600,)
    leaky = [layer for layer in model.layers if isinstance(layer, keras.layers.LeakyReLU)]
    assert [layer.negative_slope for layer in leaky] == [0.01] * 3
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.rate for layer in dropouts] == [0.1] * 3


@pytest.mark.parametrize("size", [SIZES[0], 78, 80, 96, 105, SIZES[-1]])
def test_it_builds_at_sizes_that_fit(size):
    assert build_model("ncnn", n_outputs=2, size=size).model.output.shape == (None, 2)


@pytest.mark.parametrize("size", [40, 79, 97, 149, 224])
def test_sizes_at_which_its_branches_do_not_meet_are_refused(size):
    with pytest.raises(ValueError, match="Concatenate"):
        ncnn(keras.Input((size, size, 3)))
    with pytest.raises(InputError, match=rf"size {size} does not fit .* that fit: \d+"):
        get("ncnn").check_size(size)
