from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.config import Data, InputError, Preprocessing
from tasks.dataset import locks
from tasks.dataset.manifest import read_manifest
from tasks.dataset.pixels.images import decode, resize, shaping_of
from tasks.dataset.pixels.shaping import shape
from tasks.dataset.store import ArrayStore, cache_home, decoded_images

KEY = {"what": "test", "number": 1}

CHILD = """
import sys, time
from pathlib import Path
from tasks.dataset.store import ArrayStore
root = Path(sys.argv[1])
def fill(array):
    with (root.parent / "log").open("a") as log:
        log.write("filled\\n")
    time.sleep(float(sys.argv[2]))
    array[:] = 7
array = ArrayStore(root, 1).make({"what": "test", "number": 1}, (1000,), "int32", fill)
print(int(array.sum()))
"""


def child(root, seconds):
    command = [sys.executable, "-c", CHILD, str(root), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(test, seconds=20.0):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end
        time.sleep(0.02)


def nothing(_):
    pass


def counting(value, calls):
    def fill(array):
        calls.append(value)
        array[:] = value

    return fill


@pytest.fixture
def store(tmp_path):
    return ArrayStore(tmp_path / "store", max_gb=1)


def test_an_array_is_filled_once_and_found_again_also_by_another_store(store):
    calls = []
    assert store.get(KEY) is None
    made = store.make(KEY, (2, 3), np.float32, counting(1.5, calls))
    again = store.make(dict(reversed(KEY.items())), (2, 3), np.float32, counting(2.5, calls))
    found = ArrayStore(store.root, max_gb=1).get(KEY)
    for array in (made, again, found):
        np.testing.assert_array_equal(array, np.full((2, 3), 1.5, np.float32))
        assert array.dtype == np.float32
    assert calls == [1.5]
    assert store.get({**KEY, "number": 2}) is None


def test_what_comes_back_cannot_be_written(store):
    array = store.make(KEY, (2,), np.uint8, nothing)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_filling_that_fails_leaves_nothing_and_can_be_done_again(store):
    def broken(array):
        array[:] = 1
        raise OSError("the picture is gone")

    with pytest.raises(OSError, match="the picture is gone"):
        store.make(KEY, (2,), np.uint8, broken)
    assert list(store.root.iterdir()) == []
    assert store.make(KEY, (2,), np.uint8, counting(3, [])).tolist() == [3, 3]


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "no note", "bad note"])
def test_a_damaged_array_is_not_there_and_is_made_again(store, damage):
    store.make(KEY, (500,), np.uint8, counting(3, []))
    (file,), (note,) = store.root.glob("*.npy"), store.root.glob("*.json")
    content = bytearray(file.read_bytes())
    content[-7] ^= 1
    if damage in ("flip", "cut", "empty"):
        file.write_bytes({"flip": content, "cut": content[:-9], "empty": b""}[damage])
    elif damage == "no note":
        note.unlink()
    else:
        note.write_text("{")
    for same_or_other in (store, ArrayStore(store.root, max_gb=1)):
        assert same_or_other.get(KEY) is None
    assert store.make(KEY, (500,), np.uint8, counting(4, [])).tolist() == [4] * 500


def test_two_processes_that_want_one_array_fill_it_once(store):
    children = [child(store.root, 0.7) for _ in range(2)]
    assert [process.communicate(timeout=240)[0].strip() for process in children] == ["7000", "7000"]
    assert (store.root.parent / "log").read_text() == "filled\n"
    assert sorted(file.suffix for file in store.root.iterdir()) == [".json", ".npy"]


def test_after_a_process_was_killed_while_filling_another_one_does_it(store):
    process = child(store.root, 60)
    wait_for(lambda: (store.root.parent / "log").exists())
    assert list(store.root.glob("*.npy")) == []
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    assert store.make(KEY, (1000,), np.int32, counting(9, [])).sum() == 9000
    assert sorted(file.suffix for file in store.root.iterdir()) == [".json", ".npy"]


def test_without_file_locks_everything_still_works(store, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)
    assert store.make(KEY, (2,), np.uint8, counting(3, [])).tolist() == [3, 3]
    assert store.get(KEY).tolist() == [3, 3]
    store.max_gb = 0
    assert megabytes(store, 5).max() == 5
    assert [entry["key"]["number"] for entry in store.entries()] == [5]


def test_who_waited_for_a_lock_that_went_away_holds_the_new_one(tmp_path):
    lock, log = tmp_path / "x.lock", []

    def hold(seconds):
        with locks.filling(lock):
            log.append(lock.exists())
            assert not locks.nobody_fills(lock)
            time.sleep(seconds)

    threads = [threading.Thread(target=hold, args=(0.2,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert log == [True, True, True]
    assert locks.nobody_fills(lock)
    assert not lock.exists()


def megabytes(store, number, size=1):
    return store.make({"what": "test", "number": number}, (size, 10**6), np.uint8, counting(number, []))


def test_the_arrays_not_used_for_longest_make_room(tmp_path):
    store = ArrayStore(tmp_path, max_gb=0.0035)
    for number in range(3):
        megabytes(store, number)
        time.sleep(0.02)
    assert store.get({"what": "test", "number": 0}) is not None
    time.sleep(0.02)
    gc.collect()
    megabytes(store, 3)
    kept = {entry["key"]["number"] for entry in store.entries()}
    assert kept == {0, 2, 3}


def test_an_array_in_use_and_the_one_just_made_are_never_evicted(tmp_path):
    store = ArrayStore(tmp_path, max_gb=0.0015)
    used = megabytes(store, 0)
    view = used[0, :10]
    del used
    gc.collect()
    just_made = megabytes(store, 1, size=3)
    assert {entry["key"]["number"] for entry in store.entries()} == {0, 1}
    del view, just_made
    gc.collect()
    megabytes(store, 2)
    assert {entry["key"]["number"] for entry in store.entries()} == {2}


def test_entries_tell_what_is_kept_and_clear_frees_it(store):
    array = megabytes(store, 5)
    (entry,) = store.entries()
    assert entry["what"] == "test"
    assert entry["key"] == {"what": "test", "number": 5}
    assert 10**6 < entry["bytes"] < 10**6 + 200
    json.dumps(entry)
    (store.root / "left.abcd.tmp").write_bytes(b"12345")
    assert store.clear() == entry["bytes"] + 5
    assert store.entries() == []
    assert store.clear() == 0
    assert array.max() == 5


def test_clear_leaves_alone_what_is_being_filled(store):
    process = child(store.root, 1)
    wait_for(lambda: (store.root.parent / "log").exists())
    assert store.clear() == 0
    assert process.communicate(timeout=240)[0].strip() == "7000"


def test_an_empty_store_has_no_entries_and_nothing_to_clear(store):
    assert store.entries() == []
    assert store.clear() == 0


def test_a_cache_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="FOLDCAM_HOME"):
        ArrayStore(tmp_path / "file" / "store", 1).make(KEY, (2,), np.uint8, nothing)


def test_a_full_disk_is_told_and_leaves_nothing(store, monkeypatch):
    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    with pytest.raises(InputError, match="No space left"):
        store.make(KEY, (2,), np.uint8, nothing)
    assert list(store.root.iterdir()) == []


def test_the_cache_is_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path / "here"))
    assert cache_home() == tmp_path / "here"
    monkeypatch.delenv("FOLDCAM_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_home().name == "foldcam"


@pytest.fixture
def manifest(tmp_path, paint):
    for number in range(7):
        paint(tmp_path / "data" / "ab"[number % 2] / f"{number}.png", seed=number, size=(20 + number, 15))
    return read_manifest(Data(path=tmp_path / "data"))


def test_decoded_images_stand_in_the_manifests_order(manifest, store):
    images = decoded_images(manifest, 12, store, workers=3)
    assert images.shape == (7, 12, 12, 3)
    assert images.dtype == np.uint8
    for row, path in enumerate(manifest.table["path"]):
        np.testing.assert_array_equal(images[row], resize(decode(manifest.root / path), 12))


def test_each_shaping_is_an_array_of_its_own(manifest, store):
    how = shaping_of(Preprocessing(resize="pad", pad_color="#ff0000", mask="circle"))
    images = decoded_images(manifest, 12, store, how)
    for row, path in enumerate(manifest.table["path"]):
        np.testing.assert_array_equal(images[row], shape(decode(manifest.root / path), 12, how))
    assert not np.array_equal(images, decoded_images(manifest, 12, store))
    assert len(store.entries()) == 2


def test_transparent_pixels_are_laid_on_the_manifests_ground(tmp_path, store):
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / "data" / label / "1.png")
    manifest = read_manifest(Data(path=tmp_path / "data", preprocessing={"transparency_color": "#0102ff"}))
    assert decoded_images(manifest, 4, store)[0, 0, 0].tolist() == [1, 2, 255]


def test_each_image_is_decoded_once_per_size_and_found_by_its_pixels(manifest, store):
    calls = []

    def report(done, total):
        calls.append((done, total))

    decoded_images(manifest, 12, store, progress=report)
    assert calls == [(number, 7) for number in range(1, 8)]
    moved = manifest.root.with_name("moved")
    manifest.root.rename(moved)
    again = decoded_images(read_manifest(Data(path=moved)), 12, store, progress=report)
    assert len(calls) == 7
    assert again.shape == (7, 12, 12, 3)
    decoded_images(read_manifest(Data(path=moved)), 9, store, progress=report)
    assert len(calls) == 14


def test_an_image_that_changed_or_vanished_since_is_told_and_not_stored(manifest, store, paint):
    name = manifest.table["path"][3]
    paint(manifest.root / name, seed=77)
    with pytest.raises(InputError, match=f"{name} has changed"):
        decoded_images(manifest, 12, store)
    (manifest.root / name).unlink()
    with pytest.raises(InputError, match=f"{name} could be read before"):
        decoded_images(manifest, 12, store)
    assert store.entries() == []


def test_what_is_computed_from_a_kept_array_is_a_plain_one(store):
    kept = store.make(KEY, (2, 3), np.float32, lambda out: out.fill(2))
    for found in (kept[1], kept[:, 1:], kept[np.array([True, False])], kept + 1, kept.mean(axis=0)):
        assert type(found) is np.ndarray
    for found in (kept[0, 0], kept.max(), np.abs(kept - 1).sum()):
        assert isinstance(found, np.generic)
    assert kept.max() - kept[1, 2] == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's account of a process's memory")
def test_an_array_larger_than_memory_is_read_and_filled_without_holding_it(tmp_path):
    def mapped():
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return int(fields["RssFile"].split()[0]) / 1024

    def fill(out):
        for row in range(len(out)):
            out[row] = row
            highest.append(mapped())

    before, highest = mapped(), []
    kept = ArrayStore(tmp_path, max_gb=1).make(KEY, (128, 1 << 20), np.uint8, fill)
    for row in range(0, len(kept), 4):
        found = kept[np.arange(row, row + 4)]
        np.testing.assert_array_equal(found[:, 0], np.arange(row, row + 4))
        highest.append(mapped())
    assert max(highest) - before < 50  # MB, of 128
