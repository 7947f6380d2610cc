"""Data at addresses that need no server but a plain web server: archives, memory, index pages, tables on the web."""

from __future__ import annotations

import functools
import http.server
import shutil
import sys
import threading
import zipfile
from collections import Counter
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.config import Data, InputError
from tasks.dataset.manifest import read_manifest
from tasks.dataset.sources import remote_driver
from tasks.dataset.sources.mirror import Mirror
from tasks.dataset.sources.remote import address_of, at_hand
from tasks.dataset.sources.remote_driver import RemoteFile
from tasks.dataset.sources.remote_faults import explained
from tests.support.images import write_classes


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def memory():
    driver = fsspec.filesystem("memory")
    driver.store.clear()
    driver.pseudo_dirs[:] = [""]
    yield driver
    driver.store.clear()


class _Site(http.server.SimpleHTTPRequestHandler):
    asked: Counter
    down: Counter

    def do_HEAD(self):
        if self.answers():
            super().do_HEAD()

    def do_GET(self):
        self.asked[self.path] += 1
        if self.answers():
            super().do_GET()

    def answers(self):
        if self.down[self.path] <= 0:
            return True
        self.down[self.path] -= 1
        self.send_error(503)
        return False

    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path):
    """A web server over a folder: gives the folder, its address, and what was asked and shall be answered with 503."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = type("Site", (_Site,), {"asked": Counter(), "down": Counter()})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    handler.folder, handler.address = folder, f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def read(data, home, **options):
    """Give the manifest of data at an address, as the flow reads it."""
    with at_hand(data, home, **options) as local:
        return read_manifest(local)


def refused(path, home, **settings):
    with pytest.raises(InputError) as caught, at_hand(Data(path=path, **settings), home) as local:
        read_manifest(local)
    text = str(caught.value)
    assert "\n" not in text
    assert str(home) not in text
    return text


def names(manifest):
    return manifest.table["path"].tolist()


def test_a_local_folder_stays_where_it_is(tmp_path, home):
    folder = write_classes(tmp_path / "images", {"a": 2, "b": 2})
    with at_hand(Data(path=folder), home) as local:
        assert local.path == folder
    assert not home.exists()
    assert address_of(folder) == str(folder)


def test_an_archive_gives_the_manifest_of_the_folder_in_it(tmp_path, home):
    folder = write_classes(tmp_path / "images", {"a": 3, "b": 2})
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", folder)
    manifest = read(Data(path=f"zip://::{archive}"), home)
    assert manifest.digest == read_manifest(Data(path=folder)).digest
    assert address_of(manifest.root) == f"zip://::{archive}"
    assert manifest.root.name == "packed.zip"


def test_a_name_that_would_leave_the_folder_is_refused(tmp_path, home):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("a/0.png", b"x")
        archive.writestr("a/../../../1.png", b"x")
    said = refused(f"zip://::{tmp_path / 'evil.zip'}", home)
    assert "a/../../../1.png" in said
    assert not list(tmp_path.rglob("1.png"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from("a./\\\0~"), max_size=8))
def test_no_name_leads_out_of_the_mirror(tmp_path_factory, name):
    class Giver:
        workers = 1

        def fetch(self, _, path):
            path.write_bytes(b"x")

    home = tmp_path_factory.mktemp("home")
    mirror = Mirror(home, "s3://b/x", "s3://b/x")
    with mirror.filling(fresh=False):
        try:
            mirror.fetch(Giver(), [RemoteFile(name, name, 1, "tag")])
        except InputError:
            written = 0
        else:
            written = 1
    inside = [path for path in mirror.root.rglob("*") if path.is_file()]
    notes = {"source.json", "fetched.jsonl"}
    everywhere = [path for path in home.rglob("*") if path.is_file() and path.name not in notes]
    assert len(inside) == written
    assert everywhere == inside


def test_only_what_readers_read_is_fetched(memory, home):
    for name in ("a/0.png", "notes.txt", "model.h5", ".hidden/1.png", "__MACOSX/2.png", "labels.csv", "x.npy"):
        memory.pipe(f"/set/{name}", b"content")
    with at_hand(Data(path="memory://set"), home) as local:
        files = {path.relative_to(local.path).as_posix() for path in local.path.rglob("*") if path.is_file()}
    assert files == {"a/0.png", "labels.csv", "x.npy"}


def test_a_fetch_that_breaks_off_leaves_no_half_file_and_is_taken_up_again(memory, home, monkeypatch):
    for number in range(6):
        memory.pipe(f"/set/a/{number}.png", b"%d" % number * 1000)
    whole, broken = type(memory).get_file, []

    def half(self, place, path, **options):
        if place.endswith("/4.png"):
            broken.append(place)
            Path(path).write_bytes(b"4")
            raise KeyboardInterrupt
        whole(self, place, path, **options)

    monkeypatch.setattr(type(memory), "get_file", half)
    with pytest.raises(KeyboardInterrupt), at_hand(Data(path="memory://set"), home):
        pass
    assert broken
    first = {path.name: path.stat() for path in home.rglob("*.png")}
    assert {"0.png", "1.png", "2.png", "3.png"} <= set(first) < {f"{number}.png" for number in range(6)}
    assert all(status.st_size == 1000 for status in first.values())
    assert not [path for path in home.rglob("incoming/*") if path.is_file()]
    monkeypatch.setattr(type(memory), "get_file", whole)
    done = []
    with at_hand(Data(path="memory://set"), home, progress=lambda *numbers: done.append(numbers)) as local:
        assert len(done) == 6 - len(first)
        for name, status in first.items():
            assert (local.path / "a" / name).stat().st_ino == status.st_ino
        assert len(list(local.path.rglob("*.png"))) == 6


def test_a_file_that_was_changed_here_is_fetched_again(memory, home):
    memory.pipe("/set/a/0.png", b"there")
    with at_hand(Data(path="memory://set"), home) as local:
        (local.path / "a" / "0.png").write_bytes(b"HERE!")
    with at_hand(Data(path="memory://set"), home) as local:
        assert (local.path / "a" / "0.png").read_bytes() == b"there"


def test_a_file_may_become_a_folder_and_a_folder_a_file(memory, home):
    memory.pipe("/set/x.png", b"1")
    memory.pipe("/set/y.png/z.png", b"2")
    with at_hand(Data(path="memory://set"), home):
        pass
    memory.store.clear()
    memory.pipe("/set/x.png/z.png", b"3")
    memory.pipe("/set/y.png", b"4")
    with at_hand(Data(path="memory://set"), home) as local:
        assert (local.path / "x.png" / "z.png").read_bytes() == b"3"
        assert (local.path / "y.png").read_bytes() == b"4"


def test_what_is_noted_half_is_fetched_again_and_nothing_else(memory, home):
    for number in range(3):
        memory.pipe(f"/set/a/{number}.png", b"x")
    with at_hand(Data(path="memory://set"), home):
        pass
    [notes] = home.rglob("fetched.jsonl")
    notes.write_text(notes.read_text()[:-20])
    done = []
    with at_hand(Data(path="memory://set"), home, progress=lambda *numbers: done.append(numbers)):
        pass
    assert done == [(1, 1)]


def test_two_at_once_fetch_each_file_once(memory, home, monkeypatch):
    for number in range(8):
        memory.pipe(f"/set/a/{number}.png", b"x")
    whole, fetched = type(memory).get_file, Counter()

    def counted(self, place, path, **options):
        fetched[place] += 1
        whole(self, place, path, **options)

    monkeypatch.setattr(type(memory), "get_file", counted)

    def one():
        with at_hand(Data(path="memory://set"), home):
            pass

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == {f"/set/a/{number}.png": 1 for number in range(8)}
    assert len(list(home.rglob("*.png"))) == 8


def test_fresh_fetches_everything(memory, home):
    memory.pipe("/set/a/0.png", b"x")
    for fresh, fetched in ((False, 1), (False, 0), (True, 1)):
        done = []
        with at_hand(
            Data(path="memory://set"), home, fresh=fresh, progress=lambda *numbers, done=done: done.append(numbers)
        ):
            assert len(done) == fetched


def test_a_folder_that_cannot_be_written_is_said(memory, tmp_path):
    memory.pipe("/set/a/0.png", b"x")
    (tmp_path / "home").write_text("a file")
    with pytest.raises(InputError, match="FOLDCAM_HOME"), at_hand(Data(path="memory://set"), tmp_path / "home"):
        pass


def test_errors_name_the_address(memory, home):
    memory.pipe("/set/a/0.png", b"no picture")
    memory.pipe("/set/b/0.png", b"no picture")
    assert "memory://set" in refused("memory://set", home)
    assert "memory://set/table.csv" in refused("memory://set", home, table={"file": "table.csv"})


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("gs://bucket/x", "pip install gcsfs (or with foldcam: pip install 'foldcam[remote]')"),
        ("zip://a::gs://bucket/x.zip", "pip install gcsfs"),
        ("foo://x", "no kind of address foo://"),
        ("memory://nothing", "there is no such"),
        ("memory://set/a/0.png", "lists no files"),
        ("http://127.0.0.1:9/x", "cannot be reached"),
        ("http://127.0.0.1:9/x/train.csv", "cannot be reached"),
    ],
)
def test_what_is_wrong_with_an_address_is_said_plainly(memory, home, monkeypatch, address, said):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    memory.pipe("/set/a/0.png", b"x")
    text = refused(address, home)
    assert said in text
    assert text.startswith("data.path")


def test_index_pages_are_followed(site, home):
    write_classes(site.folder / "my set", {"cat": 3, "dog": 2})
    (site.folder / "my set" / "cat" / "ä b#1.png").write_bytes(next(site.folder.rglob("*.png")).read_bytes())
    manifest = read(Data(path=f"{site.address}/my set"), home)
    assert names(manifest) == [*(f"cat/{n:03d}.png" for n in range(3)), "cat/ä b#1.png", "dog/000.png", "dog/001.png"]
    site.asked.clear()
    assert read(Data(path=f"{site.address}/my set"), home).digest == manifest.digest
    assert not [path for path in site.asked if path.endswith(".png")]


def test_a_table_on_the_web_brings_the_images_that_it_names(site, home):
    """The folders have index pages of their own that list nothing, as most sites have."""
    folder = write_classes(site.folder / "set" / "pictures", {"a": 3, "b": 3})
    for page in (folder, *folder.iterdir(), site.folder / "set"):
        (page / "index.html").write_text("<html>Welcome</html>")
    rows = [f"{label}/00{number}{ending},{label}" for label, ending in (("a", ".png"), ("b", "")) for number in (0, 1)]
    (site.folder / "set" / "train.csv").write_text("\n".join(["image,label", *rows]))
    address = f"{site.address}/set/train.csv"
    data = Data(path=address, table={"folder": "pictures"})
    manifest = read(data, home)
    assert names(manifest) == [f"pictures/{label}/00{number}.png" for label in "ab" for number in (0, 1)]
    assert manifest.table["label"].tolist() == list("aabb")
    assert address_of(manifest.root) == f"{site.address}/set"
    assert "002.png" not in " ".join(site.asked)

    site.asked.clear()
    (site.folder / "set" / "train.csv").write_text("\n".join(["image,label", *rows[1:], "a/002.png,a", ""]))
    assert names(read(data, home))[:2] == ["pictures/a/001.png", "pictures/a/002.png"]
    fetched = [path for path in site.asked if path.endswith(".png")]
    assert fetched == ["/set/pictures/a/002.png"]
    assert not list(home.rglob("a/000.png"))

    said = refused(f"{site.address}/set", home)
    assert "train.csv" in said
    (site.folder / "set.zip").write_bytes(b"")
    assert f"zip://::{site.address}/set.zip" in refused(f"{site.address}/set.zip", home)
    rows.append("a/9.png,a")
    (site.folder / "set" / "train.csv").write_text("\n".join(["image,label", *rows]))
    said = refused(address, home, table={"folder": "pictures"})
    assert "a/9.png" in said
    assert f"{site.address}/set" in said


def test_a_busy_server_is_asked_again_and_not_forever(site, home, monkeypatch):
    monkeypatch.setattr(remote_driver, "_WAITS", (0.0, 0.0))
    write_classes(site.folder / "set", {"a": 2, "b": 2})
    (site.folder / "set" / "t.csv").write_text("image,label\na/000.png,a\na/001.png,a\nb/000.png,b\nb/001.png,b\n")
    site.down.update({"/set/a/000.png": 3, "/set/t.csv": 2})
    address = f"{site.address}/set/t.csv"
    assert len(names(read(Data(path=address), home))) == 4
    site.down["/set/a/000.png"] = 1000
    assert "503" in refused(address, home)
    assert len(list(home.rglob("a/000.png"))) == 1, "an image that could not be asked for has not vanished"


def test_passwords_in_a_drivers_words_are_not_shown():
    said = explained("s3://data/x", ConnectionError("no answer from http://name:hidden@host:90/data\n(again)"))
    assert "hidden" not in said
    assert "http://host:90/data (again)" in said


def test_a_page_that_lists_nothing_is_said(site, home):
    (site.folder / "index.html").write_text("<a href='https://elsewhere.example/x.png'>x</a> <a href='?C=N'>sort</a>")
    said = refused(site.address, home)
    assert "train.csv" in said


def test_two_tables_are_refused(home):
    said = refused("https://host.example/train.csv", home, table={"file": "other.csv"})
    assert "data.table.file" in said
