"""Maps as files."""

from __future__ import annotations

import numpy as np

from tasks.explanation.map_files import LARGEST_SIDE, StoredMaps, read_maps, write_maps


def stored(maps, method="gradcam", layer="conv"):
    paths = np.array([f"Ärzte/{number}.png" for number in range(len(maps))])
    return StoredMaps(method, layer, paths, np.arange(len(maps)), maps)


def test_maps_come_back_with_their_sign_and_scale_whatever_their_size(tmp_path):
    scales = np.array([1e-12, 1.0, 1e9])[:, None, None]
    maps = (np.random.default_rng(0).normal(size=(3, 7, 5)) * scales).astype(np.float32)
    write_maps(tmp_path / "below" / "maps.npz", stored(maps))
    found = read_maps(tmp_path / "below" / "maps.npz")
    assert np.abs(found.maps - maps).max(axis=(1, 2)).tolist() <= (np.abs(maps).max(axis=(1, 2)) / 2000).tolist()
    assert (found.method, found.layer) == ("gradcam", "conv")
    assert found.paths.tolist() == stored(maps).paths.tolist()
    assert found.classes.tolist() == [0, 1, 2]


def test_a_large_map_is_brought_to_the_largest_side_and_keeps_its_mean(tmp_path):
    maps = np.random.default_rng(1).uniform(size=(2, 256, 128)).astype(np.float32)
    write_maps(tmp_path / "maps.npz", stored(maps))
    found = read_maps(tmp_path / "maps.npz").maps
    assert found.shape == (2, LARGEST_SIDE, LARGEST_SIDE)
    assert np.allclose(found.mean(axis=(1, 2)), maps.mean(axis=(1, 2)), atol=0.01)


def test_a_map_that_is_not_finite_is_kept_as_zeros_and_no_maps_are_a_file_too(tmp_path):
    maps = np.full((1, 4, 4), np.nan, dtype=np.float32)
    write_maps(tmp_path / "nan.npz", stored(maps))
    assert not read_maps(tmp_path / "nan.npz").maps.any()
    write_maps(tmp_path / "none.npz", stored(np.zeros((0, 1, 1))))
    assert read_maps(tmp_path / "none.npz").maps.shape == (0, 1, 1)


def test_places_of_images_are_found_and_missing_ones_told():
    maps = stored(np.zeros((3, 2, 2)))
    assert maps.places(np.array(["Ärzte/2.png", "other.png", "Ärzte/0.png"])).tolist() == [2, -1, 0]
