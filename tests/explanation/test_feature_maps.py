"""Feature maps: the layers' own activations, and grids of them without a division by zero."""

from __future__ import annotations

import warnings

import keras
import numpy as np
import pytest
from PIL import Image

from tasks.config import Explanation, InputError
from tasks.explanation import feature_grids
from tasks.explanation.explainers import Explainers
from tasks.explanation.feature_grids import feature_grid, scaled_channels
from tasks.explanation.feature_maps import FeatureMaps, asked_feature_maps, convolutions, write_feature_maps
from tasks.explanation.overlays import colour_table
from tests.support.explained_nets import SHAPE, curved_net, images

IMAGES = images()


def oddly_named_net():
    x = y = keras.Input(SHAPE)
    for name in ("conv>1.a", "conv>1.b", "CONV>1.a", "CON"):
        y = keras.layers.Conv2D(3, 2, name=name)(y)
    return keras.Model(x, y)


@pytest.fixture(scope="module")
def net():
    return curved_net()


def test_activations_are_those_of_the_layers(net):
    names = ["norm", "last", "first"]
    found = FeatureMaps(net, names)(IMAGES)
    assert list(found) == names
    for name, activations in found.items():
        expected = keras.Model(net.inputs[0], net.get_layer(name).output)(IMAGES, training=False)
        assert activations.dtype == np.float32
        np.testing.assert_allclose(activations, expected, atol=1e-6)


def test_without_names_the_first_convolutions_are_shown(net):
    assert convolutions(net) == ["first", "side", "last"]
    assert FeatureMaps(net, first=2).layers == ("first", "side")
    assert FeatureMaps(net).layers == ("first", "side", "last")
    one = FeatureMaps(net, first=1)(IMAGES)
    assert {name: activations.shape for name, activations in one.items()} == {"first": (4, 10, 8, 6)}


def test_settings_ask_for_a_number_or_for_names(net):
    assert asked_feature_maps(net, 2).layers == ("first", "side")
    assert asked_feature_maps(net, ["last", "first"]).layers == ("last", "first")


def test_a_models_feature_maps_are_compiled_once_and_show_its_present_weights():
    model = curved_net()
    explainers = Explainers(model, "last", Explanation(feature_maps=["first"]))
    before = explainers.feature_maps(IMAGES)["first"]
    model.get_layer("first").set_weights([2 * weight for weight in model.get_layer("first").get_weights()])
    after = explainers.feature_maps(IMAGES)["first"]
    assert explainers.feature_maps is explainers.feature_maps
    np.testing.assert_array_equal(after, FeatureMaps(model, ["first"])(IMAGES)["first"])
    assert not np.array_equal(after, before)
    assert Explainers(model, "last", Explanation(feature_maps=0)).feature_maps is None


def test_nothing_above_the_layers_is_computed(net):
    graph = FeatureMaps(net, ["first"])._compiled.get_concrete_function().graph
    assert [operation.type for operation in graph.get_operations()].count("Conv2D") == 1


def test_the_model_is_the_same_afterwards():
    model = curved_net()
    before = [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers]
    FeatureMaps(model)(IMAGES)
    assert [(len(layer._inbound_nodes), len(layer._outbound_nodes)) for layer in model.layers] == before


def test_each_channel_is_scaled_to_its_own_range():
    activations = np.stack([np.linspace(-4, 4, 12), np.linspace(1000, 1001, 12), np.linspace(3, 2, 12)], -1)
    found = scaled_channels(activations.reshape(3, 4, 3))
    assert found.dtype == np.uint8
    rising = np.rint(np.linspace(0, 255, 12)).reshape(3, 4)
    np.testing.assert_allclose(found[..., 0], rising, atol=1)
    np.testing.assert_allclose(found[..., 1], rising, atol=1)
    np.testing.assert_allclose(found[..., 2], 255 - rising, atol=1)


@pytest.mark.parametrize("value", [0.0, 3.5, -1e30, np.nan, np.inf])
def test_a_channel_without_a_range_is_dark_and_spoils_nothing(value):
    activations = np.full((4, 5, 3), value, np.float32)
    activations[..., 1] = np.arange(20).reshape(4, 5)
    activations[0, 0, 2] = 1
    if np.isfinite(value):
        activations[..., 2] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = scaled_channels(activations)
        note = feature_grid(activations, title="layer", side=8)
    assert found[..., 1].max() == 255
    np.testing.assert_array_equal(found[..., [0, 2]], 0)
    assert note.mode == "RGB"


def test_huge_values_do_not_overflow():
    found = scaled_channels(np.array([-3e38, 0, 3e38], np.float32).reshape(1, 3, 1))
    np.testing.assert_array_equal(found[0, :, 0], [0, 128, 255])


def tile_colours(grid, number, columns, side):
    row, column = divmod(number, columns)
    top, left = 28 + 108 + row * (side + 4), 28 + column * (side + 4)
    return np.asarray(grid)[top : top + side, left : left + side]


def test_tiles_stand_in_rows_with_the_colours_of_their_channels():
    activations = np.zeros((2, 2, 5))
    activations[0, :, 1:] = 1
    activations[:, :, 4] = [[0, 1], [0, 1]]
    grid = feature_grid(activations, title="a layer", columns=3, side=20, colormap="viridis")
    low, high = colour_table("viridis")[[0, 255]]
    assert grid.height == 28 + 108 + 2 * 24 - 4 + 28
    np.testing.assert_array_equal(tile_colours(grid, 0, 3, 20), np.broadcast_to(low, (20, 20, 3)))
    for number in (1, 2, 3):
        found = tile_colours(grid, number, 3, 20)
        np.testing.assert_array_equal(found[0], np.broadcast_to(high, (20, 3)))
        np.testing.assert_array_equal(found[-1], np.broadcast_to(low, (20, 3)))
    np.testing.assert_array_equal(tile_colours(grid, 4, 3, 20)[:, -1], np.broadcast_to(high, (20, 3)))
    np.testing.assert_array_equal(tile_colours(grid, 5, 3, 20), 255)


def test_a_grid_tells_its_title_and_draws_no_more_channels_than_asked_for():
    activations = np.random.default_rng(0).normal(size=(7, 7, 40))
    small, all_of_them = (feature_grid(activations, title="a", most=most, side=10) for most in (16, 40))
    assert small.height == all_of_them.height - 2 * 14
    other = np.asarray(feature_grid(activations, title="another title", most=16, side=10))
    different = (np.asarray(small) != other).any(axis=(1, 2))
    assert different[28:58].any()
    assert not different[58:].any()


def test_the_note_tells_what_is_drawn_and_what_is_dark_and_why(monkeypatch):
    told = []
    monkeypatch.setattr(feature_grids, "header", lambda *given, **_: told.append(given[2]))
    activations = np.zeros((2, 3, 6))
    activations[0, 0, 2:] = 1
    activations[0, 0, 3] = np.nan
    feature_grid(activations, title="layer")
    feature_grid(activations[:, :, 3:], title="layer", most=1)
    feature_grid(activations[:, :, 4:], title="layer")
    assert told == [
        "6 channels of 2 × 3, each scaled to its own range; 2 constant; 1 not finite",
        "the first 1 of 3 channels of 2 × 3, each scaled to its own range; 1 not finite",
        "2 channels of 2 × 3, each scaled to its own range",
    ]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 17, 64, 200, 256, 600, 2048])
def test_any_number_of_channels_makes_a_grid_of_about_one_width(channels):
    activations = np.broadcast_to(np.arange(4.0).reshape(2, 2, 1), (2, 2, channels))
    grid = feature_grid(activations, title="layer", most=channels)
    assert (grid.width > 700) == (channels > 2)
    assert grid.width < 1400
    assert grid.height < 1.5 * max(grid.width, 400)
    high = colour_table("inferno")[255]
    n_high = (np.asarray(grid)[136:] == high).all(axis=-1).sum()
    assert n_high >= 100 * channels
    assert n_high % channels == 0


def test_one_value_a_channel_has_one_scale_for_all_channels():
    values = np.array([3.0, -1.0, np.nan, 1.0, 3.0])
    found = scaled_channels(values.reshape(1, 1, 5))
    np.testing.assert_array_equal(found[0, 0], [255, 0, 0, 128, 255])
    np.testing.assert_array_equal(scaled_channels(np.full((1, 1, 3), 7.0)), 0)
    np.testing.assert_array_equal(scaled_channels(np.full((1, 1, 3), np.nan)), 0)


@pytest.mark.parametrize(
    ("names", "first", "told"),
    [
        (["hidden"], 1, "`hidden` of .* gives the shape"),
        (["nothing"], 1, "no layer `nothing`"),
        ([], 1, "no layer of"),
        (None, 0, "no layer of"),
    ],
)
def test_layers_that_cannot_be_shown_are_refused(net, names, first, told):
    with pytest.raises(InputError, match=told):
        FeatureMaps(net, names, first=first)


def test_inputs_of_another_shape_are_refused(net):
    with pytest.raises(InputError, match=r"Feature maps takes .* \(n, 12, 10, 3\)"):
        FeatureMaps(net)(np.zeros((1, 10, 12, 3)))


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3, 4), (3, 3, 0)])
def test_a_grid_needs_the_activations_of_one_image(shape):
    with pytest.raises(ValueError, match="a grid needs"):
        feature_grid(np.zeros(shape), title="layer")


def test_files_are_written_a_layer_and_image_under_names_that_every_file_system_takes(tmp_path):
    model = oddly_named_net()
    maps = FeatureMaps(model, ["conv>1.a", "conv>1.b", "CONV>1.a", "CON"])
    files = write_feature_maps(tmp_path, maps, IMAGES[:2].astype(np.uint8), ["a/x.png", "b/x.png"], most=2)
    assert len(files) == len({str(file).casefold() for file in files}) == 8
    assert [file.parent.name for file in files] == ["a__x"] * 4 + ["b__x"] * 4
    assert files[1].name == "02_conv_1.b.png"
    assert files[3].name == "04__CON.png"
    assert not set('<>:"/\\|?*') & set("".join(file.name for file in files))
    for file, name in zip(files, maps.layers * 2, strict=True):
        picture = IMAGES[int(file.parent.name == "b__x")].astype(np.uint8)
        title = f"{name}: {file.parent.name.replace('__', '/')}.png"
        activations = maps(picture[None].astype(np.float32))[name][0]
        expected = feature_grid(activations, title=title, picture=picture, most=2)
        np.testing.assert_array_equal(np.asarray(Image.open(file)), np.asarray(expected))
    again = [file.read_bytes() for file in files]
    assert write_feature_maps(tmp_path, maps, IMAGES[:2].astype(np.uint8), ["a/x.png", "b/x.png"], most=2) == files
    assert [file.read_bytes() for file in files] == again


def test_folders_may_be_named_and_must_be_as_many_as_the_images(net, tmp_path):
    maps = FeatureMaps(net, first=1)
    files = write_feature_maps(tmp_path, maps, IMAGES[:1].astype(np.uint8), ["a/x.png"], names=["0001"])
    assert files == [tmp_path / "0001" / "01_first.png"]
    with pytest.raises(ValueError):
        write_feature_maps(tmp_path, maps, IMAGES[:2].astype(np.uint8), ["a/x.png"])


def test_the_image_stands_beside_the_title():
    activations = np.random.default_rng(0).normal(size=(7, 7, 64))
    red = np.full((30, 30, 3), (200, 30, 40), np.uint8)
    grid = np.asarray(feature_grid(activations, title="a long title " * 20, picture=red))
    found = np.argwhere((grid == red[0, 0]).all(axis=-1))
    assert len(found) == 96 * 96
    assert found[:, 0].max() < 28 + 108
    assert found[:, 1].max() == grid.shape[1] - 28 - 1
    plain = np.asarray(feature_grid(activations, title="a long title " * 20))
    np.testing.assert_array_equal(grid[136:], plain[136:])
