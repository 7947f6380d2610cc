from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image, ImageFilter
from skimage import data as pictures

from tasks.config import Data
from tasks.dataset.audit.checks import allowed_leaks
from tasks.dataset.audit.findings import Subject
from tasks.dataset.audit.image_quality import quality_findings
from tasks.dataset.audit.near_duplicates import near_duplicate_findings, pair_records
from tasks.dataset.folds.leaks import allowed_images, kept_together
from tasks.dataset.lookalikes.near_duplicates import near_duplicates
from tasks.dataset.manifest import read_manifest
from tasks.dataset.pixels.images import decode

N_PARTS = 3


def patches():
    """Different real patches, 96 pixels square, in colour."""
    for name in ("astronaut", "coffee", "chelsea", "rocket", "retina"):
        image = getattr(pictures, name)()
        for place in range(12):
            top, left = 75 * (place // 4), 85 * (place % 4)
            yield np.ascontiguousarray(image[top : top + 96, left : left + 96])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    rest = [patch for patch in patches() if np.abs(np.diff(patch.astype(int), axis=1)).mean() > 3]
    for number, patch in enumerate(rest):
        (root / "ab"[number % 2]).mkdir(exist_ok=True)
        Image.fromarray(patch).save(root / "ab"[number % 2] / f"{number:02d}.png")
    return root


def looked_at(root, allow=(), join_distance=2):
    """What the audit sees, with images dealt to folds in turn."""
    near = {"distance": 6, "join_distance": join_distance}
    data = Data(path=root, allow_leaks=list(allow), audit={"near_duplicates": near})
    manifest = kept_together(read_manifest(data), data)
    part = np.arange(len(manifest.table)) % N_PARTS
    return Subject(
        manifest, manifest.table.assign(part=part), np.array(part)[:, None], 0, data, allowed_images(manifest, allow)
    )


def quality(root):
    return {finding.code: finding for finding in quality_findings(looked_at(root))}


def near(root):
    return {finding.code: finding for finding in near_duplicate_findings(looked_at(root))}


@pytest.fixture
def copy(folder, tmp_path):
    """A folder of one's own with the patches, some of which a test then spoils."""
    import shutil

    shutil.copytree(folder, tmp_path / "own")
    return tmp_path / "own"


def test_sound_pictures_give_no_findings(folder):
    assert quality(folder) == {}
    assert near(folder) == {}


def test_even_dark_and_bright_pictures_are_told_apart(copy):
    patch = decode(copy / "a/00.png").astype(float)
    for name, pixels in {
        "blank": np.full((96, 96, 3), 128),
        "page": np.pad(patch[:15, :15], ((0, 81), (0, 81), (0, 0)), constant_values=255),
        "night": patch * 0.06,
        "flash": 255 - patch * 0.06,
    }.items():
        Image.fromarray(pixels.astype(np.uint8)).save(copy / f"a/{name}.png")
    found = quality(copy)
    assert set(found["images.even"].images) == {"a/blank.png", "a/page.png"}
    assert found["images.even"].severity == "warn"
    assert found["images.dark"].images == ("a/night.png",)
    assert found["images.bright"].images == ("a/flash.png",)


def test_a_blurred_picture_is_told_and_soft_data_as_a_whole_is_not(copy):
    files = sorted(copy.rglob("*.png"))
    blurred = Image.open(files[3]).filter(ImageFilter.GaussianBlur(8))
    blurred.save(files[3])
    assert quality(copy)["images.blurred"].images == (files[3].relative_to(copy).as_posix(),)
    for file in files:
        Image.open(file).filter(ImageFilter.GaussianBlur(8)).save(file)
    assert "images.blurred" not in quality(copy)


def test_the_fewer_of_grey_and_coloured_pictures_are_told(copy):
    files = sorted(copy.rglob("*.png"))
    for file in files[:5]:
        Image.open(file).convert("L").save(file)
    finding = quality(copy)["images.colour_mixture"]
    assert finding.images == tuple(file.relative_to(copy).as_posix() for file in files[:5])
    for file in files[5:-2]:
        Image.open(file).convert("L").save(file)
    finding = quality(copy)["images.colour_mixture"]
    assert "In colour" in finding.message
    assert finding.images == tuple(file.relative_to(copy).as_posix() for file in files[-2:])


def test_copies_that_were_resized_or_flipped_are_told_with_what_is_wrong_about_them(copy):
    Image.open(copy / "a/00.png").resize((128, 128)).save(copy / "a/000.png")  # its neighbour, so in another fold
    Image.open(copy / "b/01.png").rotate(90).save(copy / "a/turned.jpg", quality=85)
    found = near(copy)
    assert set(found) == {f"duplicates.near{code}" for code in ("", "_labels", "_across_folds", "_flipped")}
    assert found["duplicates.near_across_folds"].severity == "stop"
    assert set(found["duplicates.near"].images) == {"a/00.png", "a/000.png", "a/turned.jpg", "b/01.png"}
    assert set(found["duplicates.near_labels"].images) == {"a/turned.jpg", "b/01.png"}
    assert "turned by 90° clockwise" in found["duplicates.near_flipped"].message
    assert "a/00.png ~ a/000.png (distance " in found["duplicates.near_across_folds"].message
    json.dumps([asdict(finding) for finding in found.values()])


def test_copies_with_equal_pixels_are_left_to_the_check_for_them(copy):
    (copy / "b/again.png").write_bytes((copy / "a/00.png").read_bytes())
    assert near(copy) == {}


def test_what_the_search_gave_up_is_told(copy):
    Image.fromarray(np.full((20, 20, 3), 128, np.uint8)).save(copy / "a/blank.png")
    for number in range(4):
        Image.open(copy / "a/00.png").resize((100 + number, 100)).save(copy / f"a/00 {number}.png")
    subject = looked_at(copy)
    pairs = near_duplicates(subject.facts["hashes"].tolist(), 6, max_pairs=3, max_comparisons=10)
    subject = replace(subject, manifest=replace(subject.manifest, pairs=pairs))
    found = {finding.code: finding for finding in near_duplicate_findings(subject)}
    assert found["duplicates.not_compared"].images == ("a/blank.png",)
    assert "0 bits instead of 6" in found["duplicates.near_limited"].message


def test_the_pairs_to_look_at_begin_with_those_on_two_sides_of_a_split(copy):
    Image.open(copy / "a/00.png").resize((97, 97)).save(copy / "a/000.png")  # its neighbour, so in another fold
    files = sorted(file.relative_to(copy).as_posix() for file in copy.rglob("*.png"))
    same_fold = files[files.index("a/000.png") + N_PARTS + 1]
    Image.open(copy / same_fold).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(copy / "z.tmp.png")
    (copy / "z.tmp.png").rename(copy / files[files.index("a/000.png") + 1 + 2 * N_PARTS])
    subject = looked_at(copy)
    records = json.loads(json.dumps(pair_records(subject)))
    assert [record["first"]["path"] for record in records] == ["a/00.png", same_fold]
    assert records[0]["first"]["part"] != records[0]["second"]["part"]
    assert records[1]["first"]["part"] == records[1]["second"]["part"]
    assert records[1]["variant"] == "mirrored left to right"
    assert pair_records(subject, most=1) == records[:1]


def test_what_was_let_through_is_told(copy):
    Image.open(copy / "a/00.png").resize((97, 97)).save(copy / "a/000.png")
    (finding,) = allowed_leaks(subject := looked_at(copy, ["a/000.png", "b/*"], join_distance=6))
    assert (finding.code, finding.severity, finding.images) == ("groups.allowed_leaks", "warn", ("a/000.png",))
    across = {found.code: found for found in near_duplicate_findings(subject)}["duplicates.near_across_folds"]
    assert across.severity == "warn"
    assert list(allowed_leaks(looked_at(copy, ["b/*"], join_distance=6))) == []
    assert list(allowed_leaks(looked_at(copy, [], join_distance=6))) == []


def test_colour_modes_are_told_with_their_numbers(copy):
    files = sorted(copy.rglob("*.png"))
    Image.open(files[2]).convert("P").save(files[2])
    finding = quality(copy)["images.modes"]
    assert finding.images == (files[2].relative_to(copy).as_posix(),)
    assert "P (1)" in finding.message
