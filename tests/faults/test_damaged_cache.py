"""Files of the cache that were damaged are made anew and never trained on; images that change are noticed."""

from __future__ import annotations

import os
import random
import shutil

import numpy as np
import pytest
from PIL import Image

from tasks.config import Data, InputError
from tasks.dataset.array_store import ArrayStore
from tasks.dataset.listed_image import ImageChanged, open_listed
from tasks.dataset.manifest import read_manifest
from tasks.dataset.manifest_cache import FactsCache
from tasks.dataset.mapped_array import is_whole
from tests.support.disturbed import assert_as_undisturbed, disturb, finish, long, random_moment, rounds
from tests.support.images import write_classes


def flip(file, place, bit=1):
    content = bytearray(file.read_bytes())
    content[place] ^= bit
    file.write_bytes(content)


def test_flipped_bits_in_the_list_of_known_images_are_never_believed(tmp_path):
    images = write_classes(tmp_path / "images", {"a": 4, "b": 4})
    home = tmp_path / "manifests"
    digest = read_manifest(Data(path=images), cache_dir=home).digest
    [file] = home.glob("*.parquet")
    whole = file.read_bytes()
    facts = FactsCache(home, images.absolute(), (0, 0, 0)).load()
    assert len(facts) == 8
    draw = random.Random(0)
    for _ in range(60):
        file.write_bytes(whole)
        flip(file, draw.randrange(len(whole)), 1 << draw.randrange(8))
        found = FactsCache(home, images.absolute(), (0, 0, 0)).load()
        assert all(facts[state] == own for state, own in found.items() if state in facts)
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert read_manifest(Data(path=images), cache_dir=home).digest == digest


def test_an_image_that_changed_behind_its_time_and_size_is_refused_once_and_then_read_anew(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path / "home"))
    home = tmp_path / "home" / "manifests"
    images = write_classes(tmp_path / "images", {"a": 2, "b": 2})
    file = images / "a" / "000.bmp"
    Image.fromarray(np.full((8, 8, 3), 50, np.uint8)).save(file)
    before = read_manifest(Data(path=images), cache_dir=home)
    state = file.stat()
    flip(file, -1, 64)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert read_manifest(Data(path=images), cache_dir=home).digest == before.digest  # nothing tells it from before
    with pytest.raises(ImageChanged, match=r"000\.bmp has changed since it was read\. Run again\."):
        open_listed(before, "a/000.bmp")
    after = read_manifest(Data(path=images), cache_dir=home)
    assert after.digest != before.digest
    assert open_listed(after, "a/000.bmp").shape == (8, 8, 3)
    assert len(FactsCache(home, images.absolute(), (0, 0, 0)).load()) == 5


@pytest.mark.parametrize("change", ["a flipped bit", "cut short"])
def test_an_array_that_is_changed_while_it_is_in_use_is_known(tmp_path, change):
    store, key = ArrayStore(tmp_path, 1), {"what": "numbers"}
    kept = store.make(key, (1000,), np.float32, lambda out: out.fill(3))
    assert is_whole(kept)
    assert is_whole(np.zeros(3))
    [file] = tmp_path.glob("*.npy")
    if change == "a flipped bit":
        with file.open("r+b") as handle:
            handle.seek(-2, 2)
            handle.write(b"\x00")
    else:
        with file.open("r+b") as handle:
            handle.truncate(200)
    assert not is_whole(kept)
    again = ArrayStore(tmp_path, 1).make(key, (1000,), np.float32, lambda out: out.fill(3))
    assert is_whole(again)
    assert (np.asarray(again) == 3).all()
    assert not is_whole(kept)


def test_an_array_that_is_evicted_while_it_is_in_use_is_whole(tmp_path):
    store = ArrayStore(tmp_path, 1)
    kept = store.make({"what": "numbers"}, (1000,), np.float32, lambda out: out.fill(3))
    store.clear()
    assert is_whole(kept)
    assert (np.asarray(kept) == 3).all()


def test_a_cache_that_cannot_be_locked_is_told(tmp_path):
    (tmp_path / "arrays").write_text("no folder")
    with pytest.raises(InputError, match="FOLDCAM_HOME"):
        ArrayStore(tmp_path / "arrays", 1).make({"what": "x"}, (1,), np.uint8, lambda out: out.fill(1))


def damage_cache(studio, seed):
    """Flip bits in every second file of the cache and cut others short."""
    draw = random.Random(seed)
    for file in sorted((studio.folder / "cache").rglob("*")):
        if file.is_file() and file.suffix in (".npy", ".parquet", ".csv", ".json", ".npz") and file.stat().st_size:
            if draw.random() < 0.5:
                flip(file, draw.randrange(file.stat().st_size), 1 << draw.randrange(8))
            elif draw.random() < 0.5:
                file.write_bytes(file.read_bytes()[: draw.randrange(file.stat().st_size)])


@long
@pytest.mark.parametrize("seed", rounds())
def test_whatever_is_damaged_whenever_the_figures_are_the_same(own_studio, undisturbed_run, seed):
    file = own_studio.write(undisturbed_run.settings)
    moment = random_moment(seed, undisturbed_run)
    ended = disturb(own_studio, file, moment, lambda _: damage_cache(own_studio, seed))
    assert ended.code in (0, 2, 3), ended.err
    assert "Traceback" not in ended.err
    finish(own_studio, file, calls=2)
    assert_as_undisturbed(own_studio, undisturbed_run)


@long
@pytest.mark.parametrize("what", ["changed", "removed", "unreadable"])
@pytest.mark.parametrize("seed", rounds())
def test_an_image_that_does_not_stay_as_it_was(own_studio, undisturbed_run, what, seed):
    images = own_studio.folder / "own"
    shutil.copytree(undisturbed_run.settings["data"]["path"], images)
    file = own_studio.write(undisturbed_run.settings | {"data": {"path": str(images)}})
    victim = images / "across" / "003.png"
    before = victim.read_bytes()
    faults = {
        "changed": lambda _: victim.write_bytes((images / "down" / "001.png").read_bytes()),
        "removed": lambda _: victim.unlink(),
        "unreadable": lambda _: victim.write_bytes(before[:100]),
    }
    ended = disturb(own_studio, file, random_moment(seed, undisturbed_run), faults[what])
    assert ended.code in (0, 2, 3), ended.err
    assert "Traceback" not in ended.err
    victim.write_bytes(before)
    finish(own_studio, file)
    done = {run.data.tags["foldcam.data_digest"] for run in own_studio.runs("experiment", status="completed")}
    if len(done) == 1:  # else it ran to its end on the other images, which the first reading had found
        assert_as_undisturbed(own_studio, undisturbed_run)
