from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter
from skimage import data as pictures

from tasks.config import Data
from tasks.dataset.audit_checks import Subject
from tasks.dataset.audit_near_duplicates import allowed_findings, near_duplicate_findings, pair_records
from tasks.dataset.image_quality import quality_findings
from tasks.dataset.images import decode
from tasks.dataset.leaks import effective_groups
from tasks.dataset.manifest import read_manifest
from tasks.dataset.near_duplicates import near_duplicates
from tasks.dataset.picture_facts import PictureFacts, picture_facts

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


def looked_at(root):
    """What the audit sees: the subject with images dealt to folds in turn, and the facts of every picture."""
    manifest = read_manifest(Data(path=root))
    facts = pd.DataFrame(
        [picture_facts(decode(root / path)) for path in manifest.table["path"]], columns=PictureFacts._fields
    )
    part = np.arange(len(facts)) % N_PARTS
    return Subject(manifest, manifest.table.assign(part=part), 0), facts


def quality(root):
    return {finding.code: finding for finding in quality_findings(*looked_at(root))}


def near(root, distance=6):
    subject, facts = looked_at(root)
    pairs = near_duplicates(facts["hashes"].tolist(), distance)
    groups = effective_groups(subject.manifest, pairs)
    return {finding.code: finding for finding in near_duplicate_findings(subject, pairs, groups)}


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
    assert set(found) == {f"near_duplicates.{code}" for code in ("labels", "across_folds", "flipped", "found")}
    assert set(found["near_duplicates.found"].images) == {"a/00.png", "a/000.png", "a/turned.jpg", "b/01.png"}
    assert set(found["near_duplicates.labels"].images) == {"a/turned.jpg", "b/01.png"}
    assert "turned by 90° clockwise" in found["near_duplicates.flipped"].message
    assert "a/00.png ~ a/000.png (distance " in found["near_duplicates.across_folds"].message
    json.dumps([asdict(finding) for finding in found.values()])


def test_copies_with_equal_pixels_are_left_to_the_check_for_them(copy):
    (copy / "b/again.png").write_bytes((copy / "a/00.png").read_bytes())
    assert near(copy) == {}


def test_what_the_search_gave_up_is_told(copy):
    Image.fromarray(np.full((20, 20, 3), 128, np.uint8)).save(copy / "a/blank.png")
    for number in range(4):
        Image.open(copy / "a/00.png").resize((100 + number, 100)).save(copy / f"a/00 {number}.png")
    subject, facts = looked_at(copy)
    pairs = near_duplicates(facts["hashes"].tolist(), 6, max_pairs=3, max_comparisons=10)
    groups = effective_groups(subject.manifest, pairs)
    found = {finding.code: finding for finding in near_duplicate_findings(subject, pairs, groups)}
    assert found["near_duplicates.unhashed"].images == ("a/blank.png",)
    assert "0 bits instead of 6" in found["near_duplicates.limited"].message


def test_the_pairs_to_look_at_begin_with_those_on_two_sides_of_a_split(copy):
    Image.open(copy / "a/00.png").resize((97, 97)).save(copy / "a/000.png")  # its neighbour, so in another fold
    files = sorted(file.relative_to(copy).as_posix() for file in copy.rglob("*.png"))
    same_fold = files[files.index("a/000.png") + N_PARTS + 1]
    Image.open(copy / same_fold).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(copy / "z.tmp.png")
    (copy / "z.tmp.png").rename(copy / files[files.index("a/000.png") + 1 + 2 * N_PARTS])
    subject, facts = looked_at(copy)
    pairs = near_duplicates(facts["hashes"].tolist(), 6)
    records = json.loads(json.dumps(pair_records(subject, pairs, effective_groups(subject.manifest, pairs))))
    assert [record["first"]["path"] for record in records] == ["a/00.png", same_fold]
    assert records[0]["first"]["part"] != records[0]["second"]["part"]
    assert records[1]["first"]["part"] == records[1]["second"]["part"]
    assert records[1]["variant"] == "mirrored left to right"
    assert pair_records(subject, pairs, effective_groups(subject.manifest, pairs), most=1) == records[:1]


def test_what_was_let_through_is_told(copy):
    Image.open(copy / "a/00.png").resize((97, 97)).save(copy / "a/000.png")
    subject, facts = looked_at(copy)
    pairs = near_duplicates(facts["hashes"].tolist(), 6)
    (finding,) = allowed_findings(subject, pairs, join_distance=6, allow=["a/000.png", "b/*"])
    assert (finding.code, finding.severity, finding.images) == ("leaks.allowed", "warn", ("a/000.png",))
    assert list(allowed_findings(subject, pairs, join_distance=6, allow=["b/*"])) == []
    assert list(allowed_findings(subject, pairs, join_distance=6, allow=[])) == []
