from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from tasks.config import InputError
from tasks.dataset.sources.region_digest import regions_digest
from tasks.dataset.sources.regions import read_regions

IMAGES = [("a/1.jpg", 20, 30), ("a/2.jpg", 20, 30)]
NAMES = [name for name, _, _ in IMAGES]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def write_mask(folder, name, place, size=(20, 30)):
    mask = np.zeros(size, np.uint8)
    mask[place] = 255
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def digest(source, root):
    return regions_digest(read_regions(source, root, NAMES), IMAGES)


def boxes(path, *rows):
    path.write_text("\n".join(["image,x_min,y_min,x_max,y_max", *rows]))
    return path


def test_it_follows_from_what_is_marked_and_not_from_where_that_lies(tmp_path, root):
    masks = tmp_path / "masks"
    write_mask(masks, "a/1.png", np.s_[:5, :5])
    write_mask(masks, "a/2.png", np.s_[5:, :5])
    first = digest(masks, root)
    assert len(first) == 64
    assert digest(shutil.copytree(masks, tmp_path / "elsewhere"), root) == first
    write_mask(masks, "a/3.png", np.s_[:9, :9])
    assert digest(masks, root) == first
    write_mask(masks, "a/2.png", np.s_[6:, :5])
    changed = digest(masks, root)
    assert changed != first
    (masks / "a/2.png").unlink()
    assert len({first, changed, digest(masks, root)}) == 3


def test_boxes_count_by_their_numbers(tmp_path, root):
    one = boxes(tmp_path / "one.csv", "a/1.jpg,1,2,10,12", "a/2.jpg,0,0,5,5")
    moved = boxes(tmp_path / "moved.csv", "other.jpg,1,1,3,3", "a/2.jpg,0,0,5,5", "a/1.jpg,1.0,2,10,12")
    other = boxes(tmp_path / "other.csv", "a/1.jpg,1,2,10,13", "a/2.jpg,0,0,5,5")
    assert digest(one, root) == digest(moved, root) != digest(other, root)


def test_what_no_fold_run_could_use_is_refused_before(tmp_path, root):
    with pytest.raises(InputError, match=r"out\.csv.*outside"):
        digest(boxes(tmp_path / "out.csv", "a/1.jpg,40,2,50,12"), root)
    write_mask(tmp_path / "square", "a/1.png", np.s_[:], size=(30, 30))
    with pytest.raises(InputError, match="another shape"):
        digest(tmp_path / "square", root)
    broken = write_mask(tmp_path / "broken", "a/1.png", np.s_[:5])
    broken.write_bytes(broken.read_bytes()[:50])
    with pytest.raises(InputError, match="cannot be read"):
        digest(tmp_path / "broken", root)


def test_a_smaller_mask_of_the_same_shape_is_taken(tmp_path, root):
    write_mask(tmp_path / "masks", "a/1.png", np.s_[:2], size=(10, 15))
    assert len(digest(tmp_path / "masks", root)) == 64
