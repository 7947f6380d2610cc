from __future__ import annotations

import codecs
import os
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.listings import write_starter
from tasks.config import Data, InputError
from tasks.dataset.manifest import read_manifest
from tasks.dataset.pixels.images import ImageError, decode, pixel_digest, read_picture
from tasks.dataset.sources.readers import read_records
from tasks.dataset.sources.tree import image_files, image_folders, links_outside, loose_images, other_files
from tasks.dataset.store import ArrayStore, decoded_images
from tasks.experiment_file import read_experiment
from tests.support import corpus

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

ODD, BAD, NAMED = corpus.odd_files(), corpus.bad_files(), corpus.named_files()
NOBODY = 65534
READABLE = {f"odd/{file.name}": file for file in ODD + NAMED} | {f"bad/{file.name}": file for file in NAMED[:2]}
"""The files of `everything` that can be read, by their paths."""


def names(files):
    return [file.name for file in files]


@contextmanager
def as_somebody_else():
    """Without root's right to read everything; what Python loads late is loaded before."""
    Image.init()
    codecs.lookup("utf-8-sig")
    mine = os.geteuid()
    if mine == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(mine)


@pytest.fixture
def open_place():
    """A folder that other users can enter."""
    folder = Path(tempfile.mkdtemp(prefix="foldcam-corpus-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("file", ODD, ids=names(ODD))
def test_odd_files_show_what_people_see(tmp_path, file):
    corpus.write(tmp_path, [file])
    pixels = decode(tmp_path / file.name)
    assert pixels.dtype == np.uint8
    assert pixels.shape == file.pixels.shape
    assert abs(pixels.astype(int) - file.pixels).max() <= file.off


@pytest.mark.parametrize("file", BAD, ids=names(BAD))
def test_bad_files_say_in_one_line_why_they_cannot_be_read(tmp_path, file):
    corpus.write(tmp_path, [file])
    begun = time.monotonic()
    with pytest.raises(ImageError) as caught:
        decode(tmp_path / file.name)
    assert time.monotonic() - begun < 10
    reason = str(caught.value)
    assert file.reason in reason
    assert reason.strip()
    assert reason.isprintable()
    assert len(reason) < 200
    assert str(tmp_path) not in reason


@pytest.mark.parametrize(
    ("name", "kind", "mode", "has_more"),
    [
        ("plain.png", "PNG", "RGB", False),
        ("really_a_jpeg.png", "JPEG", "RGB", False),
        ("cmyk.jpg", "JPEG", "CMYK", False),
        ("grey_16.png", "PNG", "I;16", False),
        ("palette.png", "PNG", "P", False),
        ("one_bit.png", "PNG", "1", False),
        ("animated.gif", "GIF", "P", True),
        ("animated.png", "PNG", "L", True),
        ("animated.webp", "WEBP", "RGB", True),
        ("pages.tif", "TIFF", "L", True),
    ],
)
def test_format_mode_and_further_frames_are_told(tmp_path, name, kind, mode, has_more):
    corpus.write(tmp_path, [file for file in ODD if file.name == name])
    picture = read_picture(tmp_path / name)
    assert (picture.format, picture.mode, picture.has_more) == (kind, mode, has_more)


def test_an_animation_that_is_cut_behind_its_first_frame_still_shows_it(tmp_path):
    (file,) = (file for file in ODD if file.name == "animated.gif")
    (tmp_path / file.name).write_bytes(file.content[: len(file.content) - 40])
    np.testing.assert_array_equal(decode(tmp_path / file.name), file.pixels)


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), (10, 200, 30)])
@pytest.mark.parametrize("name", ["clear.png", "grey_clear.png", "palette_clear.png", "grey_16_one_clear.png"])
def test_transparency_is_laid_on_the_colour_that_is_asked_for(tmp_path, name, ground):
    (file,) = (file for file in ODD if file.name == name)
    corpus.write(tmp_path, [file])
    clear = (file.pixels == 0).all(axis=2)
    assert 0 < clear.mean() < 1
    pixels = decode(tmp_path / name, ground)
    assert (pixels[clear] == ground).all()
    np.testing.assert_array_equal(pixels[~clear], file.pixels[~clear])


@pytest.fixture
def everything(tmp_path):
    """A class of odd files and unusual names, and one of bad files with a good one between."""
    root = tmp_path / "data"
    corpus.write(root / "odd", ODD + NAMED)
    corpus.write(root / "bad", BAD)
    corpus.write(root / "bad", NAMED[:2])
    return root


def below(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def test_bad_files_are_left_out_and_every_other_row_is_its_own(everything, tmp_path):
    before = below(tmp_path)
    manifest = read_manifest(Data(path=everything, on_corrupt="skip"))
    assert below(tmp_path) == before
    table = manifest.table
    assert table["path"].tolist() == sorted(READABLE)
    assert (table["label"] == table["path"].str.split("/").str[0]).all()
    for row in table.itertuples():
        file = READABLE[row.path]
        assert (row.height, row.width) == file.pixels.shape[:2]
        if not file.off:
            assert row.sha256 == pixel_digest(file.pixels)
    assert sorted(manifest.rejected["path"]) == sorted(f"bad/{file.name}" for file in BAD)
    assert len(manifest.digest) == 64


def test_without_leave_to_skip_bad_files_stop_in_one_paragraph(everything):
    with pytest.raises(InputError) as caught:
        read_manifest(Data(path=everything))
    message = str(caught.value)
    assert message.startswith(f"{len(BAD)} of {len(BAD) + len(READABLE)} images")
    assert message.isprintable()
    assert len(message) < 2000


def test_the_manifest_of_unusual_names_survives_its_file_and_its_cache(everything, tmp_path):
    cache = tmp_path / "cache"
    manifest = read_manifest(Data(path=everything, on_corrupt="skip"), cache_dir=cache)
    again = read_manifest(Data(path=everything, on_corrupt="skip"), cache_dir=cache)
    manifest.write(tmp_path / "manifest.parquet")
    back = type(manifest).read(tmp_path / "manifest.parquet", root=everything)
    assert manifest.digest == again.digest == back.digest
    assert back.rejected.equals(manifest.rejected)


def test_every_odd_file_stands_in_its_own_row_of_the_decoded_images(everything, tmp_path):
    manifest = read_manifest(Data(path=everything, on_corrupt="skip"))
    images = decoded_images(manifest, 16, ArrayStore(tmp_path / "store", max_gb=1))
    for row, path in enumerate(manifest.table["path"]):
        expected = Image.fromarray(READABLE[path].pixels).resize((16, 16), Image.Resampling.BILINEAR)
        assert abs(images[row].astype(int) - np.asarray(expected)).max() <= READABLE[path].off


@pytest.mark.parametrize("name", corpus.REFUSED_NAMES, ids=ascii)
def test_names_with_line_breaks_and_control_characters_are_refused_in_one_line(tmp_path, paint, name):
    for bad in (f"a/{name}", f"{name}/1.png"):
        root = tmp_path / bad.replace("/", "_").encode("ascii", "replace").hex()
        paint(root / "a/1.png")
        paint(root / bad)
        with pytest.raises(InputError, match="control character") as caught:
            image_files(root)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", [b"\xff.png", b"caf\xe9.jpg", b"\xc3\x28/1.png"])
def test_names_in_another_encoding_are_refused_in_one_line(tmp_path, paint, name):
    paint(tmp_path / "a/1.png")
    target = os.fsencode(tmp_path) + b"/a/" + name
    os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
    Path(os.fsdecode(target)).write_bytes(b"x")
    with pytest.raises(InputError, match="UTF-8") as caught:
        image_files(tmp_path)
    assert str(caught.value).isprintable()
    str(caught.value).encode("utf-8")


def test_the_name_of_a_file_that_is_no_image_does_not_matter(tmp_path, paint):
    paint(tmp_path / "a/1.png")
    for name in ("Icon\r", os.fsdecode(b"\xff.txt")):
        (tmp_path / "a" / name).write_bytes(b"x")
    assert image_files(tmp_path) == ["a/1.png"]
    assert len(other_files(tmp_path)) == 2


@pytest.fixture
def linked(tmp_path, paint):
    """A folder of links, and what must be said about those that lead nowhere."""
    for name in ("a/1.png", "b/2.png"):
        paint(tmp_path / "data" / name, seed=ord(name[0]))
    return tmp_path / "data", corpus.write_links(tmp_path / "data/a", tmp_path / "outside")


def test_links_are_followed_to_their_end_and_circles_are_left(linked):
    root, reasons = linked
    images = image_files(root)
    told = {f"a/{name}" for name in reasons}
    assert set(images) == {"a/1.png", "a/file_outside.png", "a/folder_outside/more.png", "b/2.png"} | told
    assert len(other_files(root)) == 3  # a pipe, a device and a link without an ending that leads back to itself
    manifest = read_manifest(Data(path=root, on_corrupt="skip"))
    assert dict(zip(manifest.rejected["path"], manifest.rejected["reason"], strict=True)).keys() == told
    for path, reason in zip(manifest.rejected["path"], manifest.rejected["reason"], strict=True):
        assert reasons[path.removeprefix("a/")] in reason
    digests = dict(zip(manifest.table["path"], manifest.table["sha256"], strict=True))
    assert digests["a/file_outside.png"] == pixel_digest(corpus.picture(200))
    assert digests["a/folder_outside/more.png"] == pixel_digest(corpus.picture(201))


def test_links_that_leave_the_folder_are_named(linked):
    root, _ = linked
    assert links_outside(root) == ["a/file_outside.png", "a/folder_outside", "a/nowhere.png", "a/top"]


def test_links_within_the_folder_and_a_folder_that_is_a_link_itself_leave_nothing(tmp_path, paint):
    paint(tmp_path / "data/a/1.png")
    (tmp_path / "data/b").mkdir()
    (tmp_path / "data/b/again.png").symlink_to("../a/1.png")
    (tmp_path / "door").symlink_to(tmp_path / "data")
    for root in (tmp_path / "data", tmp_path / "door"):
        assert links_outside(root) == []
        assert image_files(root) == ["a/1.png", "b/again.png"]


def test_a_link_to_what_holds_the_folder_is_not_followed_whatever_name_the_folder_is_called_by(tmp_path, paint):
    paint(tmp_path / "real/data/a/1.png")
    paint(tmp_path / "real/other/2.png")
    (tmp_path / "real/data/a/up").symlink_to("../..")
    (tmp_path / "door").symlink_to(tmp_path / "real/data")
    for root in (tmp_path / "real/data", tmp_path / "door"):
        assert image_files(root) == ["a/1.png"]


def test_folders_full_of_links_to_each_other_end(tmp_path, paint):
    folders = [f"f{number:02d}" for number in range(12)]
    for name in folders:
        paint(tmp_path / name / "1.png")
        for other in folders:
            if other != name:
                (tmp_path / name / other).symlink_to(tmp_path / other)
    begun = time.monotonic()
    with pytest.raises(InputError, match="ways lead to the folder"):
        image_files(tmp_path)
    assert time.monotonic() - begun < 10


def test_a_pipe_or_device_behind_a_link_does_not_stop_the_reading(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("pipe.png")
    for path in (tmp_path / "pipe.png", tmp_path / "link.png", Path("/dev/zero"), tmp_path):
        with pytest.raises(ImageError, match="no ordinary file"):
            decode(path)


def test_a_folder_named_as_an_image_is_a_folder(tmp_path, paint):
    paint(tmp_path / "class.png/1.png")
    paint(tmp_path / "other/1.png")
    assert image_files(tmp_path) == ["class.png/1.png", "other/1.png"]
    assert other_files(tmp_path) == []
    assert image_folders(tmp_path) == ["class.png", "other"]
    assert loose_images(tmp_path) == []


def test_files_that_may_not_be_read_are_left_out_with_that_reason(open_place, paint):
    for name in ("a/1.png", "a/locked.png", "b/2.png"):
        paint(open_place / name, seed=len(name))
        (open_place / name).chmod(0o644)
    (open_place / "a/locked.png").chmod(0)
    (open_place / "b/link.png").symlink_to(open_place / "a/locked.png")
    with as_somebody_else():
        manifest = read_manifest(Data(path=open_place, on_corrupt="skip"))
        with pytest.raises(InputError, match=r"a/locked\.png \(no permission to read the file"):
            read_manifest(Data(path=open_place))
    assert manifest.table["path"].tolist() == ["a/1.png", "b/2.png"]
    reason = {"reason": "no permission to read the file", "code": "files.unreadable"}
    assert manifest.rejected.to_dict("records") == [{"path": "a/locked.png"} | reason, {"path": "b/link.png"} | reason]


@pytest.mark.parametrize("rights", [0o000, 0o444, 0o111])
def test_a_folder_that_may_not_be_read_is_told_by_name(open_place, paint, rights):
    for name in ("a/1.png", "b/deep/2.png"):
        paint(open_place / name)
        (open_place / name).chmod(0o644)
    (open_place / "b").chmod(rights)
    with as_somebody_else():
        for read in (lambda: image_files(open_place), lambda: read_records(Data(path=open_place))):
            with pytest.raises(InputError, match=f"The folder {open_place}/b.* cannot be read: Permission denied"):
                read()


def test_what_lies_where_one_may_not_look_is_told(open_place, paint):
    paint(open_place / "shut/a/1.png")
    paint(open_place / "data/a/1.png")
    (open_place / "data/x.npy").write_bytes(b"x")
    (open_place / "data/x.npy").chmod(0)
    (open_place / "shut").chmod(0)
    asked = {
        f"the folder {open_place}/shut/a cannot be opened: Permission denied": Data(path=open_place / "shut/a"),
        "t.csv cannot be read: Permission denied": Data(path=open_place / "data", table={"file": "../shut/t.csv"}),
        "x.npy cannot be used: there is no permission": Data(path=open_place / "data", reader="arrays"),
    }
    with as_somebody_else():
        for said, data in asked.items():
            with pytest.raises(InputError, match=said):
                read_records(data)


def test_files_of_an_experiment_where_one_may_not_look_or_write_are_told(open_place, paint):
    paint(open_place / "data/a/1.png")
    paint(open_place / "data/b/1.png", seed=1)
    (open_place / "shut").mkdir()
    (open_place / "a.yaml").write_text("name: a\ndata: {path: data}\nmodel: {weights: shut/w.h5}\n")
    (open_place / "a.yaml").chmod(0o644)
    (open_place / "shut").chmod(0)
    with as_somebody_else():
        with pytest.raises(InputError, match=r"weights: .*shut/w\.h5 cannot be opened: Permission denied"):
            read_experiment(open_place / "a.yaml")
        with pytest.raises(InputError, match=r"shut/a\.yaml could not be read: Permission denied"):
            read_experiment(open_place / "shut/a.yaml")
        for out in (open_place / "new.yaml", open_place / "shut/new.yaml"):
            with pytest.raises(InputError, match=r"new\.yaml cannot be written: Permission denied"):
                write_starter(open_place / "data", out, None)
