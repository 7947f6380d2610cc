"""How far backbones agree on the same image."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.looks.agreeing import between_backbones
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.explanation.map_files import StoredMaps, write_maps

PATHS = np.array([f"{number}.png" for number in range(8)])
GROUPS = pd.Series(None, index=PATHS, dtype=object)


@pytest.fixture
def backbone(tmp_path):
    def write(name, maps, classes=None, fold=0, paths=PATHS):
        folder = tmp_path / name / str(fold)
        classes = np.zeros(len(paths), int) if classes is None else classes
        write_maps(folder / "explanations" / "gradcam" / "maps.npz", StoredMaps("gradcam", "", paths, classes, maps))
        pd.DataFrame({"path": paths, "fold": fold}).to_parquet(folder / "predictions.parquet")
        return FoldExplanations({fold: str(fold)}, lambda run, artifact: tmp_path / name / run / artifact)

    return write


def random_maps(seed, n=8, side=6):
    return np.random.default_rng(seed).random((n, side, side)).astype(np.float32)


def test_equal_maps_agree_wholly_and_opposite_ones_not_at_all(backbone):
    maps = random_maps(0)
    logged = {"a": backbone("a", maps), "b": backbone("b", 3 * maps), "c": backbone("c", 1 - maps)}
    found = between_backbones(logged, ["gradcam"], GROUPS)
    means = found.pairs.set_index(["first", "second"])["mean"]
    assert means.to_dict() == pytest.approx({("a", "b"): 1, ("a", "c"): -1, ("b", "c"): -1}, abs=0.01)
    assert found.of_each["a", "gradcam"].mean == pytest.approx(0, abs=0.01)
    assert found.of_each["c", "gradcam"].mean == pytest.approx(-1, abs=0.01)
    assert found.pairs["n_images"].tolist() == [8, 8, 8]


def test_only_maps_for_the_same_class_of_the_same_image_are_compared(backbone):
    maps = random_maps(0)
    other = np.concatenate([maps[:4], 1 - maps[4:]])
    logged = {
        "a": backbone("a", maps, np.arange(8)),
        "b": backbone("b", other, np.array([0, 1, 2, 3, 0, 0, 0, 0])),
        "c": backbone("c", maps[::-1][:3], np.array([7, 6, 5]), paths=PATHS[::-1][:3]),
    }
    found = between_backbones(logged, ["gradcam", "rise"], GROUPS).pairs
    assert found[["first", "second", "n_images"]].to_numpy().tolist() == [["a", "b", 4], ["a", "c", 3]]
    assert found["mean"].tolist() == pytest.approx([1, 1], abs=0.01)


def test_maps_of_two_sizes_are_compared_and_images_of_one_group_are_one_value(backbone):
    coarse = random_maps(0, side=4)
    logged = {"a": backbone("a", coarse), "b": backbone("b", coarse.repeat(3, axis=1).repeat(3, axis=2))}
    patients = pd.Series(list("aabbccdd"), index=PATHS)
    found = between_backbones(logged, ["gradcam"], patients)
    assert found.of_each["a", "gradcam"].mean > 0.9
    assert found.of_each["a", "gradcam"].n_groups == 4


def test_backbones_without_a_fold_in_common_are_not_compared(backbone):
    logged = {"a": backbone("a", random_maps(0)), "b": backbone("b", random_maps(1), fold=1)}
    found = between_backbones(logged, ["gradcam"], GROUPS)
    assert found.pairs.empty
    assert not found.of_each
    assert between_backbones({}, ["gradcam"], GROUPS).pairs.empty


def test_two_maps_that_show_nothing_say_nothing(backbone):
    maps = random_maps(0)
    maps[:3] = 0
    logged = {"a": backbone("a", maps), "b": backbone("b", maps)}
    assert between_backbones(logged, ["gradcam"], GROUPS).pairs["n_images"].tolist() == [5]
