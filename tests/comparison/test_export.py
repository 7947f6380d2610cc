from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tasks.comparison.record.export import export_study_e
from tasks.comparison.study_e import COLUMNS
from tasks.config import InputError

ROWS = [
    (0, "a/1.png", "Pain", "Pain", 98.7612, 1),
    (0, "b/1.png", "Pain", "No_pain", 75.0, 0),
    (1, "c.png", "No_pain", "No_pain", 51.5, 1),
    (1, "A/1.png", "No_pain", "Pain", 60.0, 0),
]


@pytest.fixture
def table():
    return pd.DataFrame(ROWS, columns=list(COLUMNS))


@pytest.fixture
def overlays(tmp_path):
    """One file a row, with contents of its own, as a logged run has them."""
    logged = tmp_path / "logged"
    logged.mkdir()
    for number in range(len(ROWS)):
        (logged / f"{number}.png").write_bytes(b"overlay %d" % number)
    return [logged / f"{number}.png" for number in range(len(ROWS))]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*.png") if "All" in file.parts
    }


def test_every_overlay_stands_under_all_and_under_its_fold(table, overlays, tmp_path):
    out = tmp_path / "new" / "out"
    export_study_e({"vgg16": table}, {"vgg16": overlays}, out)
    for number, (fold, _, _, _, _, good) in enumerate(ROWS):
        side = "Right" if good else "Wrong"
        for place in ("All", f"Fold{fold}"):
            files = (out / "vgg16" / place / side).iterdir()
            assert b"overlay %d" % number in [file.read_bytes() for file in files]
    assert len(list(out.rglob("*.png"))) == 2 * len(ROWS)
    folders = {path.relative_to(out / "vgg16").as_posix() for path in (out / "vgg16").glob("*/*")}
    assert folders == {f"{place}/{side}" for place in ("All", "Fold0", "Fold1") for side in ("Right", "Wrong")}
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("logged", "new")] == []


def test_the_table_is_study_es(table, overlays, tmp_path):
    export_study_e({"vgg16": table, "ncnn": table[:1]}, {"vgg16": overlays, "ncnn": overlays[:1]}, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ncnn", "ncnn.csv", "vgg16", "vgg16.csv"]
    lines = (tmp_path / "out" / "vgg16.csv").read_bytes().decode("utf-8").split("\n")
    assert lines[:3] == [
        "Fold;Image;Class;Pred;Conf;Right?",
        "0;a/1.png;Pain;Pain;98,7612;1",
        "0;b/1.png;Pain;No_pain;75,0;0",
    ]
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out" / "vgg16.csv", sep=";", decimal=","), table)


def test_names_that_would_be_one_are_told_apart_and_the_rest_can_be_read(table, overlays, tmp_path):
    table["Right?"] = 1
    export_study_e({"vgg16": table}, {"vgg16": overlays}, tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out" / "vgg16" / "All" / "Right").iterdir())
    assert len({name.casefold() for name in names}) == 4
    assert "b__1.png" in names
    assert "c.png" in names


def test_an_image_of_several_repeats_and_folds_keeps_each_overlay(table, overlays, tmp_path):
    table["Image"], table["Fold"] = "a/1.png", [0, 0, 1, 1]
    export_study_e({"vgg16": table}, {"vgg16": overlays}, tmp_path / "out")
    assert sorted(tree(tmp_path / "out").values()) == [b"overlay %d" % number for number in range(4)]


def test_images_without_an_overlay_are_in_the_table_only_and_endings_are_kept(table, overlays, tmp_path):
    jpeg = overlays[0].rename(overlays[0].with_suffix(".jpg"))
    export_study_e({"vgg16": table}, {"vgg16": [jpeg, None, None, None]}, tmp_path / "out")
    files = [path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")]
    assert sorted(files) == ["vgg16.csv", *sorted(f for f in files if f.startswith("vgg16/"))]
    assert {path.suffix for path in (tmp_path / "out" / "vgg16").rglob("*") if path.is_file()} == {".jpg"}
    assert len((tmp_path / "out" / "vgg16.csv").read_text().splitlines()) == 5


def test_what_is_done_to_an_export_does_not_touch_the_logged_overlays(table, overlays, tmp_path):
    export_study_e({"vgg16": table}, {"vgg16": overlays}, tmp_path / "out")
    for file in (tmp_path / "out").rglob("*.png"):
        with file.open("r+b") as opened:
            opened.write(b"painted")
    assert [file.read_bytes() for file in overlays] == [b"overlay %d" % number for number in range(4)]


def test_a_copy_stands_in_where_there_are_no_hard_links(table, overlays, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    export_study_e({"vgg16": table}, {"vgg16": overlays}, tmp_path / "out")
    assert (tmp_path / "out" / "vgg16" / "Fold1" / "Right" / "c.png").read_bytes() == b"overlay 2"
    assert len(list((tmp_path / "out").rglob("*.png"))) == 8


def test_an_empty_folder_is_taken_and_a_full_one_refused(table, overlays, tmp_path):
    (tmp_path / "empty").mkdir()
    export_study_e({"vgg16": table}, {"vgg16": overlays}, tmp_path / "empty")
    before = tree(tmp_path / "empty")
    with pytest.raises(InputError, match="nothing is overwritten"):
        export_study_e({"vgg16": table}, {"vgg16": overlays[::-1]}, tmp_path / "empty")
    assert tree(tmp_path / "empty") == before
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        export_study_e({"vgg16": table}, {"vgg16": overlays}, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_nothing_is_left_where_an_overlay_is_gone(table, overlays, tmp_path):
    overlays[3].unlink()
    with pytest.raises(InputError, match=r"3\.png.*foldcam run --fresh"):
        export_study_e({"vgg16": table}, {"vgg16": overlays}, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["logged"]


def test_a_folder_that_cannot_be_made_is_told_in_one_sentence(table, overlays, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        export_study_e({"vgg16": table}, {"vgg16": overlays}, tmp_path / "file" / "out")


def test_tables_that_do_not_fit_are_a_fault_of_the_caller(table, overlays, tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        export_study_e({"vgg16": table}, {"vgg16": overlays[:2]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValueError, match="'vgg16'"):
        export_study_e({"vgg16": table.drop(columns="Conf")}, {"vgg16": overlays}, tmp_path / "out")
