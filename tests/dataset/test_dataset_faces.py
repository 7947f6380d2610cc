from __future__ import annotations

import numpy as np
import pytest
from skimage.data import lfw_subset

from tasks.config import Data, InputError
from tasks.dataset.manifest import read_manifest
from tasks.dataset.pixels.images import decode
from tasks.dataset.sources.faces import write_faces


def test_the_demo_images_are_the_patches_in_two_class_folders(tmp_path):
    folder = write_faces(tmp_path / "deep" / "faces")
    manifest = read_manifest(Data(path=folder))
    assert manifest.classes == ("face", "other")
    assert manifest.table["label"].value_counts().to_dict() == {"face": 100, "other": 100}
    for path, number in (("face/face_000.png", 0), ("face/face_099.png", 99), ("other/other_000.png", 100)):
        stored = decode(folder / path)
        np.testing.assert_allclose(stored / 255, lfw_subset()[number][:, :, None].repeat(3, 2), atol=0.5 / 255)
    assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["faces"]


def test_writing_again_changes_nothing(tmp_path):
    folder = write_faces(tmp_path / "faces")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    assert write_faces(folder) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")} == before


def test_an_empty_folder_is_filled_and_a_used_one_is_left_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    assert len(list(write_faces(tmp_path / "empty").rglob("*.png"))) == 200
    (tmp_path / "used").mkdir()
    (tmp_path / "used/thesis.txt").write_text("x")
    with pytest.raises(InputError, match="something else"):
        write_faces(tmp_path / "used")
    assert [entry.name for entry in (tmp_path / "used").iterdir()] == ["thesis.txt"]
