from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest

from tasks.config import Folds, InputError
from tasks.dataset.folds.assignment import assign_folds, folds_table, read_folds, write_folds
from tasks.dataset.folds.leaks import Leak


@pytest.fixture
def written(table_of, tmp_path):
    """A manifest with awkward names, its folds, and their file."""
    rows = [{"label": "a, b" if number % 2 else 'c"d', "path": f"NA/ö {number}.png"} for number in range(12)]
    rows += [{"label": "a, b", "path": "null", "split": "holdout"}]
    manifest = table_of(rows)
    fold = assign_folds(manifest, Folds(n_splits=3), seed=0)
    write_folds(tmp_path / "folds.csv", manifest, fold)
    return manifest, fold, tmp_path / "folds.csv"


def edited(path, change):
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    change(table).to_csv(path, index=False)
    return path


def test_folds_come_back_as_they_were_written(written):
    manifest, fold, path = written
    np.testing.assert_array_equal(read_folds(path, manifest), fold)
    np.testing.assert_array_equal(assign_folds(manifest, Folds(n_splits=2, file=path), seed=99), fold)
    assert list(folds_table(manifest, fold).columns) == ["path", "sha256", "label", "group", "fold"]


def test_the_order_of_the_lines_does_not_matter(written):
    manifest, fold, path = written
    np.testing.assert_array_equal(read_folds(edited(path, lambda table: table[::-1]), manifest), fold)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.iloc[1:], r"1 image not in the file \(NA/ö 0\.png\)"),
        (lambda table: pd.concat([table, table.iloc[:1].assign(path="new.png")]), r"not in the data \(new\.png\)"),
        (lambda table: table.assign(sha256="0"), "with other pixels"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "twice"),
        (lambda table: table.drop(columns="fold"), "no column fold"),
        (lambda table: table.assign(fold=table["fold"].replace("1", "one")), "whole numbers"),
        (lambda table: table.assign(fold=table["fold"].replace("1", "7")), "without gaps"),
        (lambda table: table.assign(fold=table["fold"].replace("-1", "0")), r"data\.holdout.*null"),
    ],
)
def test_a_file_for_other_images_or_with_other_content_is_refused(written, change, said):
    manifest, _, path = written
    with pytest.raises(InputError, match=said):
        read_folds(edited(path, change), manifest)


def test_a_missing_file_and_one_that_is_no_table_are_refused(written):
    manifest, _, path = written
    with pytest.raises(InputError, match=r"nearest name there is .*folds\.csv"):
        read_folds(path.with_name("fold.csv"), manifest)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_folds(path, manifest)


def test_a_file_that_splits_a_group_is_refused(table_of, tmp_path):
    manifest = table_of([{"label": "ab"[number % 2], "group": f"g{number % 4}"} for number in range(8)])
    write_folds(tmp_path / "folds.csv", manifest, np.arange(8) // 2 % 2)
    with pytest.raises(Leak, match="images that belong together"):
        assign_folds(manifest, Folds(file=tmp_path / "folds.csv"), seed=0)


def test_a_file_that_keeps_a_class_out_of_a_training_part_is_refused(table_of, tmp_path):
    manifest = table_of([{"label": "aab"[number % 3]} for number in range(12)])
    write_folds(tmp_path / "folds.csv", manifest, np.minimum(manifest.y, 1))
    with pytest.raises(InputError, match="'a' has images in 1 ready-made fold only"):
        assign_folds(manifest, Folds(file=tmp_path / "folds.csv"), seed=0)


@pytest.fixture
def repeated(table_of, tmp_path):
    """A manifest with a holdout, its folds cut three times, and their file."""
    rows = [{"label": "ab"[number % 2]} for number in range(30)] + [{"label": "a", "split": "holdout"}]
    manifest = table_of(rows)
    fold = assign_folds(manifest, Folds(n_splits=2, n_repeats=3), seed=0)
    write_folds(tmp_path / "folds.csv", manifest, fold)
    return manifest, fold, tmp_path / "folds.csv"


def test_repeats_stand_in_columns_of_their_own_and_come_back(repeated):
    manifest, fold, path = repeated
    columns = ["path", "sha256", "label", "group", "fold", "fold_1", "fold_2"]
    assert list(folds_table(manifest, fold).columns) == columns
    np.testing.assert_array_equal(read_folds(path, manifest), fold)
    for settings in ({"file": path}, {"file": path, "n_repeats": 3}):
        np.testing.assert_array_equal(assign_folds(manifest, Folds(**settings), seed=9), fold)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="fold_1"), "fold, fold_1, fold_2 and so on"),
        (lambda table: table.assign(fold_1=table["fold"]), "column fold_1 must be 2, 3"),
        (lambda table: table.assign(fold_2=table["fold_2"].replace("5", "4")), "column fold_2 must be 4, 5"),
        (lambda table: table.assign(fold_2=table["fold_2"].replace("-1", "4")), r"data\.holdout"),
        (lambda table: table.assign(fold_1=""), "column fold_1 must hold whole numbers"),
    ],
)
def test_repeats_that_do_not_run_on_are_refused(repeated, change, said):
    manifest, _, path = repeated
    with pytest.raises(InputError, match=said):
        read_folds(edited(path, change), manifest)


def test_a_file_is_not_cut_anew(repeated, written):
    for (manifest, fold, path), wanted, held in ((repeated, 2, "3 repeats"), (written, 3, "1 repeat")):
        write_folds(path, manifest, fold)
        with pytest.raises(InputError, match=f"n_repeats is {wanted}, and .* holds {held}"):
            assign_folds(manifest, Folds(file=path, n_repeats=wanted), seed=0)


def test_a_file_that_a_spreadsheet_saved_with_a_byte_order_mark_is_read(written):
    manifest, fold, path = written
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    np.testing.assert_array_equal(read_folds(path, manifest), fold)


@pytest.mark.parametrize("number", ["9" * 30, "9" * 13, "1e3", "\u0663"])
def test_numbers_that_are_no_folds_are_refused_at_once(written, number):
    manifest, _, path = written
    with pytest.raises(InputError, match="whole numbers"):
        read_folds(edited(path, lambda table: table.assign(fold=table["fold"].replace("1", number))), manifest)


def test_what_is_no_table_is_refused_in_one_line(written, tmp_path):
    manifest, _, path = written
    text = path.read_text(encoding="utf-8")
    path.write_text(text + "a,b,c,d,e,f,g\n", encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.csv")
    for file in (path, tmp_path / "pipe.csv", tmp_path):
        with pytest.raises(InputError, match="cannot be read as a CSV file") as caught:
            read_folds(file, manifest)
        assert str(caught.value).isprintable()
