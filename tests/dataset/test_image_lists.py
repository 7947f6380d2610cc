from __future__ import annotations

import http.server
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.config import InputError
from tasks.dataset.image_lists import listed_images
from tasks.dataset.pixels.addresses import open_image


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("b/2.png", "a.jpg", "b/1.PNG", "notes.txt", ".hidden.png")):
        file = tmp_path / "in" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".txt":
            file.write_text("no image")
        else:
            Image.fromarray(np.full((4, 5, 3), 10 * number, np.uint8)).save(file)
    return tmp_path / "in"


def paths(place, **options):
    with listed_images(str(place), **options) as found:
        return [image.path for image in found]


def levels(place, **options):
    with listed_images(str(place), **options) as found:
        return [int(open_image(image.root, image.address)[0, 0, 0]) for image in found]


def test_a_folder_gives_all_images_below_it_by_path(folder):
    assert paths(folder) == [f"{folder}/{name}" for name in ("a.jpg", "b/1.PNG", "b/2.png")]


def test_nothing_is_no_place(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with pytest.raises(InputError, match="PATH is empty"):
        paths(" ")


def test_a_file_gives_itself(folder):
    assert paths(folder / "a.jpg") == [str(folder / "a.jpg")]


def test_an_array_gives_its_rows(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.uint8)[:, None, None] * np.ones((12, 3, 3), np.uint8))
    assert paths(tmp_path / "x.npy")[:2] == [f"{tmp_path}/x.npy#00", f"{tmp_path}/x.npy#01"]
    assert levels(tmp_path / "x.npy") == list(range(12))
    assert levels(tmp_path / "x.npy#7") == [7]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table_gives_what_it_names_in_its_order_each_once(folder, ending):
    names = ["b/2.png", "a.jpg", "b/2.png", str(folder / "b/1.PNG")]
    table = pd.DataFrame({"path": names, "age": [1, 2, 3, 4]})
    getattr(table, f"to_{ending}")(folder / f"list.{ending}", index=False)
    assert paths(folder / f"list.{ending}") == [names[0], names[1], names[3]]
    assert levels(folder / f"list.{ending}") == [0, 10, 20]


def test_names_without_ending_or_folder_are_found(folder):
    (folder / "list.csv").write_text("id_code\n2\nb/1\n")
    assert levels(folder / "list.csv") == [0, 20]


def test_a_column_of_another_name_is_named(folder):
    (folder / "list.csv").write_text("scan,age\na.jpg,4\n")
    assert paths(folder / "list.csv", column="scan") == ["a.jpg"]
    with pytest.raises(InputError, match=r"--column.*") as fault:
        paths(folder / "list.csv")
    assert "scan, age" in str(fault.value)


def test_an_image_that_a_table_names_and_is_not_there_is_listed_all_the_same(folder):
    (folder / "list.csv").write_text("path\na.jpg\ngone.png\n")
    assert paths(folder / "list.csv") == ["a.jpg", "gone.png"]


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("in/list.csv", "None of the 2 images"),
        ("empty", "holds no image"),
        ("nowhere", "no image"),
        ("in/notes.npy", "no array"),
    ],
)
def test_where_there_is_no_image_it_is_refused(folder, tmp_path, monkeypatch, place, part):
    monkeypatch.chdir(tmp_path)
    (folder / "list.csv").write_text("path\ngone.png\nx.png\n")
    (folder / "notes.npy").write_text("text")
    Path("empty").mkdir()
    with pytest.raises(InputError, match=part):
        paths(place)


def test_a_column_without_a_table_is_refused(folder):
    with pytest.raises(InputError, match="--column"):
        paths(folder, column="path")


@contextmanager
def web(folder):
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_table_at_an_address_gives_its_images_by_their_names(folder, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (folder / "list.csv").write_text("path\nb/2.png\na.jpg\n")
    with web(folder) as address:
        assert paths(f"{address}/list.csv") == ["b/2.png", "a.jpg"]
        assert levels(f"{address}/list.csv") == [0, 10]


def test_a_folder_at_an_address_is_called_by_it(folder, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with web(folder) as address:
        assert paths(f"{address}/") == [f"{address}/{name}" for name in ("a.jpg", "b/1.PNG", "b/2.png")]
