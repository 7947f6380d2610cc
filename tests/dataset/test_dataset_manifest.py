from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from tasks.config import Data, InputError, Preprocessing
from tasks.dataset import manifest as manifest_module
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.dataset.parallel import in_threads
from tasks.dataset.pixels import addresses
from tasks.dataset.pixels.images import decode, pixel_digest, read_picture


@pytest.fixture
def folder(tmp_path, paint):
    """Two classes with blanks and other letters, one file name in both, and sizes of their own."""
    root = tmp_path / "data"
    for number, name in enumerate(["Äpfel grün/1.png", "Äpfel grün/2.png", "梨/1.png", "梨/3.jpg"]):
        paint(root / name, seed=number, size=(8 + number, 6))
    return root


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that get decoded, as they are."""
    names: list[str] = []
    lock = threading.Lock()

    def counting(path, ground):
        with lock:
            names.append(path.name)
        return read_picture(path, ground)

    monkeypatch.setattr(addresses, "read_picture", counting)
    return names


def test_a_row_holds_path_label_pixels_and_upright_size(folder):
    manifest = read_manifest(Data(path=folder))
    assert manifest.classes == ("Äpfel grün", "梨")
    assert manifest.table["path"].tolist() == ["Äpfel grün/1.png", "Äpfel grün/2.png", "梨/1.png", "梨/3.jpg"]
    assert manifest.y.tolist() == [0, 0, 1, 1]
    assert manifest.y.dtype == np.int64
    assert manifest.table["width"].tolist() == [8, 9, 10, 11]
    assert manifest.table["height"].tolist() == [6] * 4
    for path, sha256 in zip(manifest.table["path"], manifest.table["sha256"], strict=True):
        assert sha256 == pixel_digest(decode(folder / path))
    for column in ("group", "split", "fold"):
        assert manifest.table[column].tolist() == [None] * 4
    assert manifest.root == folder
    assert manifest.rejected.empty


def test_the_digest_does_not_depend_on_where_or_when_or_with_how_many_threads(folder, tmp_path):
    here = read_manifest(Data(path=folder), workers=1)
    shutil.copytree(folder, tmp_path / "moved")
    for path in (tmp_path / "moved").rglob("*.png"):
        os.utime(path, (0, 0))
    assert read_manifest(Data(path=tmp_path / "moved"), workers=4).digest == here.digest


def test_the_digest_follows_everything_that_it_covers(folder, paint):
    before = read_manifest(Data(path=folder)).digest
    seen = {before, read_manifest(Data(path=folder, classes=["梨", "Äpfel grün"])).digest}
    seen.add(read_manifest(Data(path=folder, groups=r"(?P<group>[0-9])\.")).digest)
    (folder / "梨/1.png").rename(folder / "梨/7.png")
    seen.add(read_manifest(Data(path=folder)).digest)
    paint(folder / "梨/7.png", seed=99, size=(10, 6))
    seen.add(read_manifest(Data(path=folder)).digest)
    assert len(seen) == 5


def test_a_manifest_comes_back_from_its_file_as_it_was(folder, tmp_path):
    (folder / "梨/bad.png").write_bytes(b"")
    (folder / "notes.txt").write_text("x")
    data = Data(path=folder, groups=r"(?P<group>[a-z0-9]+)\.", on_corrupt="skip")
    manifest = read_manifest(data.model_copy(update={"preprocessing": Preprocessing(transparency_color="#0a0b0c")}))
    manifest.write(tmp_path / "manifest.parquet")
    back = Manifest.read(tmp_path / "manifest.parquet", root=folder)
    assert back.digest == manifest.digest
    assert back.table.equals(manifest.table)
    assert back.rejected.equals(manifest.rejected)
    assert (back.classes, back.root, back.n_ignored_files) == (manifest.classes, folder, 1)
    assert back.ground == manifest.ground == (10, 11, 12)


def test_a_file_that_is_no_manifest_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"no parquet")
    for name in ("x.parquet", "missing.parquet"):
        with pytest.raises(InputError, match=name):
            Manifest.read(tmp_path / name, root=tmp_path)


def test_unreadable_images_stop_by_default_with_reasons_and_count(folder):
    content = (folder / "梨/3.jpg").read_bytes()
    (folder / "梨/cut.jpg").write_bytes(content[: len(content) // 2])
    (folder / "梨/empty.png").write_bytes(b"")
    (folder / "梨/text.png").write_text("not an image")
    with pytest.raises(InputError) as caught:
        read_manifest(Data(path=folder))
    message = str(caught.value)
    assert message.startswith("3 of 7 images")
    for part in ("cut.jpg (Truncated File Read", "empty.png (the file is empty)", "text.png (not an image", "skip"):
        assert part in message
    assert "\n" not in message


def test_unreadable_images_can_be_left_out_and_are_listed(folder):
    (folder / "梨/empty.png").write_bytes(b"")
    manifest = read_manifest(Data(path=folder, on_corrupt="skip"))
    assert manifest.rejected.to_dict("records") == [
        {"path": "梨/empty.png", "reason": "the file is empty", "code": "files.empty"}
    ]
    assert len(manifest.table) == 4
    assert "梨/empty.png" not in manifest.table["path"].tolist()


def test_a_folder_of_unreadable_images_stops_even_when_they_may_be_skipped(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match="2 of 2"):
        read_manifest(Data(path=tmp_path, on_corrupt="skip"))


def test_a_second_reading_decodes_only_new_and_changed_files(folder, tmp_path, paint, decoded):
    first = read_manifest(Data(path=folder), cache_dir=tmp_path / "cache")
    assert sorted(decoded) == ["1.png", "1.png", "2.png", "3.jpg"]
    decoded.clear()
    assert read_manifest(Data(path=folder), cache_dir=tmp_path / "cache").digest == first.digest
    assert decoded == []
    paint(folder / "Äpfel grün/2.png", seed=50, size=(9, 6))
    paint(folder / "Äpfel grün/new.png", seed=51)
    changed = read_manifest(Data(path=folder), cache_dir=tmp_path / "cache")
    assert sorted(decoded) == ["2.png", "new.png"]
    assert changed.digest == read_manifest(Data(path=folder)).digest != first.digest


def test_a_file_of_the_same_size_put_in_place_with_the_old_time_is_seen(folder, tmp_path):
    target, other = folder / "Äpfel grün/1.bmp", tmp_path / "other.bmp"
    Image.new("RGB", (4, 4), (1, 2, 3)).save(target)
    read_manifest(Data(path=folder), cache_dir=tmp_path / "cache")
    status = target.stat()
    Image.new("RGB", (4, 4), (3, 2, 1)).save(other)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(target)
    assert target.stat().st_size == status.st_size
    again = read_manifest(Data(path=folder), cache_dir=tmp_path / "cache")
    assert again.digest == read_manifest(Data(path=folder)).digest


def test_fresh_decodes_all_and_a_damaged_cache_is_made_again(folder, tmp_path, decoded):
    cache = tmp_path / "cache"
    first = read_manifest(Data(path=folder), cache_dir=cache)
    decoded.clear()
    read_manifest(Data(path=folder), cache_dir=cache, fresh=True)
    assert len(decoded) == 4
    (stored,) = cache.iterdir()
    stored.write_bytes(b"rubbish")
    assert read_manifest(Data(path=folder), cache_dir=cache).digest == first.digest
    decoded.clear()
    read_manifest(Data(path=folder), cache_dir=cache)
    assert decoded == []


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(folder, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(read_manifest(Data(path=folder), cache_dir=tmp_path / "cache").table) == 4


def test_progress_ends_with_all_images(folder):
    calls = []
    read_manifest(Data(path=folder), progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_test_split_is_held_out_unless_it_joins(tmp_path, paint):
    for split in ("train", "val", "test"):
        for label in ("a", "b"):
            paint(tmp_path / split / label / "1.png")
    held = read_manifest(Data(path=tmp_path))
    assert held.table["split"].tolist() == ["holdout", "holdout", None, None, None, None]
    joined = read_manifest(Data(path=tmp_path, holdout="none"))
    assert joined.table["split"].tolist() == [None] * 6


def test_groups_come_from_the_path_and_an_image_without_one_is_named(folder, paint):
    manifest = read_manifest(Data(path=folder, groups=r"/(?P<group>[0-9]+)\."))
    assert manifest.table["group"].tolist() == ["1", "2", "1", "3"]
    paint(folder / "梨/nobody.png")
    with pytest.raises(InputError, match=r"1 image of 5.*nobody\.png"):
        read_manifest(Data(path=folder, groups=r"/(?P<group>[0-9]+)\."))


def test_classes_keep_the_order_that_is_given_and_must_cover_the_labels(folder):
    assert read_manifest(Data(path=folder, classes=["梨", "A\u0308pfel gru\u0308n"])).y.tolist() == [1, 1, 0, 0]
    with pytest.raises(InputError, match="梨"):
        read_manifest(Data(path=folder, classes=["Äpfel grün", "other"]))
    with pytest.raises(InputError, match="twice"):
        read_manifest(Data(path=folder, classes=["梨", "Äpfel grün", "梨"]))


def test_one_class_is_not_enough(tmp_path, paint):
    paint(tmp_path / "only/1.png")
    with pytest.raises(InputError, match="'only'"):
        read_manifest(Data(path=tmp_path))


def test_the_modules_do_not_load_heavy_libraries():
    names = [
        "manifest",
        "store",
        "sources.readers",
        "sources.detect",
        "folds.assignment",
        "audit.audit",
        "sources.remote",
    ]
    code = "import json, sys\n" + "\n".join(f"import tasks.dataset.{name}" for name in names)
    code += "\nheavy = 'sklearn', 'scipy', 'matplotlib', 'tensorflow', 'skimage'"
    code += "\nprint(json.dumps([name for name in heavy if name in sys.modules]))"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(output) == []


def test_decoded_images_are_let_go_of_and_their_number_changes_nothing(tmp_path, paint, monkeypatch):
    for number in range(150):
        paint(tmp_path / "ab"[number % 2] / f"{number}.png", seed=number)
    alive, most, own = weakref.WeakSet(), [], manifest_module.open_picture

    class Pixels(np.ndarray):
        """An array that can be counted: plain ones cannot be hashed."""

        __hash__ = object.__hash__

    def counted(root, address, ground):
        picture = own(root, address, ground)
        pixels = picture.pixels.view(Pixels)
        alive.add(pixels)
        most.append(len(alive))
        return picture._replace(pixels=pixels)

    monkeypatch.setattr(manifest_module, "open_picture", counted)
    read_manifest(Data(path=tmp_path), workers=2)
    assert len(most) == 150
    assert max(most) <= 6


def test_work_is_handed_out_a_little_ahead_only():
    started = []
    taken = []

    def items():
        for number in range(1000):
            started.append(number)
            yield number

    class Lazy(Sequence):
        def __len__(self):
            return 1000

        def __getitem__(self, place):
            raise AssertionError

        def __iter__(self):
            return items()

    ahead = []
    in_threads(
        lambda number: number,
        Lazy(),
        workers=2,
        progress=lambda done, _: (taken.append(done), ahead.append(len(started) - done)),
    )
    assert taken == list(range(1, 1001))
    assert max(ahead) < 100
