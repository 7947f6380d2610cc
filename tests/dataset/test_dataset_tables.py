from __future__ import annotations

import csv
import io
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.config import Data, Groups, InputError, Table
from tasks.dataset.labels import in_order, whole_numbers
from tasks.dataset.sources.groups import groups_of
from tasks.dataset.sources.readers import read_records
from tasks.dataset.sources.table import read_table


@pytest.fixture
def leaves(tmp_path, paint):
    """Study B's folder: images in one folder, a table beside it."""
    for number in range(4):
        paint(tmp_path / "train_images" / f"leaf{number}.jpg", seed=number)

    def write(text: str, name: str = "train.csv", encoding: str = "utf-8", **settings) -> Data:
        (tmp_path / name).write_bytes(text.encode(encoding))
        return Data(path=tmp_path, **settings)

    return write


def found(data):
    return {record.relative.removeprefix("train_images/"): record.label for record in read_records(data)}


def refused(data):
    with pytest.raises(InputError) as caught:
        read_records(data)
    text = str(caught.value)
    assert "\n" not in text
    return text


FOUR = {"leaf0.jpg": "rust", "leaf1.jpg": "scab rust", "leaf2.jpg": "healthy", "leaf3.jpg": "scab"}


@pytest.mark.parametrize(
    ("encoding", "newline", "delimiter", "name"),
    [
        ("utf-8", "\n", ",", "train.csv"),
        ("utf-8-sig", "\r\n", ";", "train.csv"),
        ("utf-16", "\r\n", "\t", "Train.CSV"),
        ("utf-8", "\r", "|", "train.csv"),
        ("utf-8", "\n", "\t", "train.tsv"),
    ],
)
def test_tables_are_read_as_programs_write_them(leaves, encoding, newline, delimiter, name):
    lines = ["image,labels", "leaf0.jpg,rust", "leaf1,scab rust", "", ",", " leaf2.jpg ,healthy", "leaf3,scab", ",,"]
    data = leaves(newline.join(lines).replace(",", delimiter), name, encoding)
    assert found(data) == FOUR


def test_a_hint_for_the_delimiter_is_taken_and_counted_as_a_line(leaves):
    data = leaves("sep=;\nimage;labels\nleaf0;a\nleaf1;\n")
    assert "line 4" in refused(data)


def test_a_parquet_table_gives_the_same_as_a_csv_table(leaves, tmp_path):
    data = leaves("")
    (tmp_path / "train.csv").unlink()
    columns = {"image": ["leaf0", "leaf1"], "diagnosis": [1.0, 2.0], "site": [None, 7], "pixels": [b"x", b"y"]}
    pq.write_table(pa.table(columns), tmp_path / "train.parquet")
    assert found(data) == {"leaf0.jpg": "1", "leaf1.jpg": "2"}
    assert [dict(record.extra) for record in read_records(data)] == [{}, {"site": "7"}]
    pq.write_table(pa.table({"image": ["leaf0", None], "label": ["a", "b"]}), tmp_path / "train.parquet")
    assert "row 2: no name" in refused(data.model_copy(update={"table": Table(file="train.parquet")}))
    (tmp_path / "train.parquet").write_bytes(b"PAR1 not really PAR1")
    assert "not a Parquet file" in refused(data.model_copy(update={"table": Table(file="train.parquet")}))


def test_splits_folds_groups_and_other_columns_are_kept(leaves):
    data = leaves(
        "file,class,split,fold,group,site,Camera,\n"
        "leaf0,a,Train,1.0,7,north,x,\nleaf1,b,valid,2,8.0,NaN,y,\nleaf2,a,TEST,,7,,z,\nleaf3,b,,2,9,south,,\n"
    )
    records = read_records(data)
    assert [record.split for record in records] == ["train", "val", "test", None]
    assert [record.fold for record in records] == ["1", "2", None, "2"]
    assert groups_of(records, data, data.path) == ["7", "8", "7", "9"]
    assert [dict(record.extra) for record in records] == [
        {"site": "north", "Camera": "x"},
        {"Camera": "y"},
        {"Camera": "z"},
        {"site": "south"},
    ]
    plain = data.model_copy(update={"table": Table(split="none", fold="none"), "groups": None})
    assert {(record.split, record.fold) for record in read_records(plain)} == {(None, None)}
    assert read_records(plain)[0].extra["split"] == "Train"


def test_a_column_of_groups_is_taken_by_name(leaves):
    text = "image,label,Patient\nleaf0,a,x\nleaf1,b,y\n"
    data = leaves(text, groups={"column": "patient"})
    assert groups_of(read_records(data), data, data.path) == ["x", "y"]
    assert "gives no group in 1 row: line 3" in refused(leaves(text.replace(",y", ",NA"), groups={"column": "Patient"}))
    assert "no column 'patients'. Did you mean Patient?" in refused(leaves(text, groups={"column": "patients"}))


def test_names_start_from_the_table_a_given_folder_or_wherever_they_are_once(leaves, tmp_path, paint):
    paint(tmp_path / "other/leaf0.jpg")
    paint(tmp_path / "other/deep/leaf9.png")
    text = "image,label\nleaf0,a\nleaf1,b\n"
    assert "leaf0 (means other/leaf0.jpg and train_images/leaf0.jpg)" in refused(
        leaves(text, table=Table(file="train.csv"))
    )
    below = leaves(text, table=Table(folder="train_images"))
    assert [record.relative for record in read_records(below)] == ["train_images/leaf0.jpg", "train_images/leaf1.jpg"]
    text = f"image,label\n./other/../other/leaf0.jpg,a\n{tmp_path}/train_images/leaf1.jpg,b\ndeep\\leaf9,b\n"
    paths = [record.relative for record in read_records(leaves(text))]
    assert paths == ["other/deep/leaf9.png", "other/leaf0.jpg", "train_images/leaf1.jpg"]
    assert read_records(leaves(text))[0].relative == "other/deep/leaf9.png"


def test_the_tables_own_folder_comes_first(leaves, tmp_path, paint):
    paint(tmp_path / "sub/leaf0.jpg")
    (tmp_path / "sub/list.csv").write_text("image,label\nleaf0,a\nleaf1,b\n")
    data = Data(path=tmp_path, table=Table(file="sub/list.csv"))
    assert [record.relative for record in read_records(data)] == ["sub/leaf0.jpg", "train_images/leaf1.jpg"]


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/secret.jpg", "a/../../secret.jpg", "..\\secret.jpg"])
def test_names_that_point_out_of_the_folder_are_refused(leaves, tmp_path, paint, name):
    paint(tmp_path.parent / "secret.jpg")
    text = refused(leaves(f"image,label\nleaf0,a\n{name},b\n", reader="table"))
    assert "line 3" in text
    assert "lies outside the data folder" in text


def test_missing_images_are_listed_with_their_lines_or_left_for_the_reading_of_images(leaves):
    text = "image,label\nleaf0,a\nleaf7,b\n\nleaf8,b\n"
    said = refused(leaves(text, table=Table(file="train.csv")))
    assert "2 images" in said
    assert "line 3: leaf7 (is not there), line 5: leaf8" in said
    records = read_records(leaves(text, on_corrupt="skip", reader="table"))
    assert {record.relative for record in records} == {"train_images/leaf0.jpg", "leaf7", "leaf8"}
    none = leaves("image,label\nx,a\ny,b\n", on_corrupt="skip", table=Table(file="train.csv"))
    assert "None of the 2 images" in refused(none)


def test_two_files_for_a_name_without_ending_are_named(leaves, tmp_path, paint):
    paint(tmp_path / "train_images/leaf0.png")
    assert "leaf0 (means train_images/leaf0.jpg and train_images/leaf0.png)" in refused(
        leaves("image,label\nleaf0,a\nleaf1,b\nleaf2,b\n")
    )
    assert len(found(leaves("image,label\nleaf0.png,a\nleaf1,b\n"))) == 2


def test_rows_that_say_the_same_count_once_and_others_clash(leaves):
    text = "image,label,site\nleaf0,a,x\nleaf1,b,x\nleaf0.jpg,a,x\n"
    assert found(leaves(text)) == {"leaf0.jpg": "a", "leaf1.jpg": "b"}
    assert "train_images/leaf0.jpg (lines 2, 4)" in refused(leaves(text.replace("leaf0.jpg,a", "leaf0.jpg,b")))


def test_blank_labels_are_listed_or_left_out(leaves):
    text = "image,label\nleaf0,a\nleaf1,\nleaf2,NaN\nleaf3,None\n"
    said = refused(leaves(text))
    assert "blank in 2 rows: line 3, line 4" in said
    records = read_records(leaves(text, unlabelled="skip"))
    assert [(record.label, record.flaw) for record in records] == [
        ("a", None),
        ("", "it has no label"),
        ("", "it has no label"),
        ("None", None),
    ]


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (["1.0", "1,0", "2", "0"], ["1", "1", "2", "0"]),
        (["1", "2.0", "", "NaN"], ["1", "2", "", "NaN"]),
        (["01", "1", "-1.00"], ["01", "1", "-1"]),
        (["1.0", "a"], ["1.0", "a"]),
        (["1.0", "0.5"], ["1.0", "0.5"]),
        (["1.", "2"], ["1.", "2"]),
    ],
)
def test_whole_numbers_lose_fractions_of_zero(cells, labels):
    assert whole_numbers(cells) == labels


def test_numbers_are_sorted_by_value_and_words_by_letters():
    assert in_order(["10", "9", "2", "9", "-1"]) == ["-1", "2", "9", "10"]
    assert in_order(["10", "9", "b", "a"]) == ["10", "9", "a", "b"]


def test_measurements_are_no_labels(leaves):
    said = refused(leaves("image;label\nleaf0;0,5\nleaf1;1,0\nleaf2;\n"))
    assert "fractions (0,5)" in said
    assert found(leaves("image;label\nleaf0;0,0\nleaf1;1,0\n")) == {"leaf0.jpg": "0", "leaf1.jpg": "1"}


def test_rules_for_file_names_come_before_the_table(leaves):
    data = leaves("image\nleaf0\nleaf3\n", reader="table", labels={"rules": [{"regex": "(?P<label>[0-9])"}]})
    assert found(data) == {"leaf0.jpg": "0", "leaf3.jpg": "3"}
    data = leaves("image\nleaf0\nleaf3\n", reader="table", labels={"rules": [{"label": "x", "contains": "0"}]})
    assert "leaf3.jpg (line 3)" in refused(data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("image,label\n", "no rows"),
        ("image,label\nleaf0,a\nleaf1\n", "line 3 (1)"),
        ("image,label\nleaf0,a\nleaf1,b,c\n", "line 3 (3)"),
        ('image,label\nleaf0,"a\nleaf1,b\n', "from line 2 on"),
        ('image,label\nleaf0,a\nleaf1,"b"c\n', "from line 3 on"),
        ("image,label,label\nleaf0,a,a\n", "two columns named label"),
        (
            "image,label,Class\nleaf0,a,b\n",
            "several columns that may be meant: label, Class. Say which: data.table.label",
        ),
        ("image,grade\nleaf0,a\n", "no column named label or labels or class or diagnosis. It has: image, grade"),
        ("name,label\nleaf0,a\n", "no column named image"),
        ("image,label,split\nleaf0,a,train\nleaf1,b,dev\n", "dev (line 3)"),
        ("image,label\n,a\nleaf1,b\n", "line 2: no name"),
        ("image,label\nleaf0,a\0\n", "null characters"),
        ("image,label\nleaf0,é\n", None),
    ],
)
def test_tables_with_faults_are_refused_with_the_line(leaves, text, said):
    data = leaves(text, encoding="utf-8" if said else "latin-1", table=Table(file="train.csv"))
    assert (said or "not UTF-8 text (line 2)") in refused(data)


def test_named_columns_that_are_not_there_are_told_with_the_nearest(leaves):
    text = "id,grade\nleaf0,a\nleaf1,b\n"
    assert found(leaves(text, table=Table(file="train.csv", image="ID", label="grade"))) == {
        "leaf0.jpg": "a",
        "leaf1.jpg": "b",
    }
    said = refused(leaves(text, table=Table(file="train.csv", image="id", label="grad")))
    assert "data.table.label" in said
    assert "Did you mean grade?" in said


def test_tables_that_are_not_there_or_several_are_told(leaves, tmp_path):
    text = "image,label\nleaf0,a\nleaf1,b\n"
    assert f"nearest name there is {tmp_path}/train.csv" in refused(leaves(text, table=Table(file="trian.csv")))
    leaves(text, "more.csv")
    assert "several tables of images: more.csv, train.csv" in refused(Data(path=tmp_path))
    assert "reads none" in refused(Data(path=tmp_path, reader="class_folders", table=Table(file="train.csv")))
    assert f"there is no folder {tmp_path}/x" in refused(leaves(text, table=Table(file="train.csv", folder="x")))
    assert "lies outside" in refused(leaves(text, table=Table(file="train.csv", folder="..")))
    assert "must end in" in refused(leaves(text, "list.txt", table=Table(file="list.txt")))
    assert "data.table.file: train.csv" in refused(Data(path=tmp_path / "train.csv"))


def test_a_table_that_repeats_the_folders_does_not_hide_them(tmp_path, paint):
    for name in ("a/1.png", "b/2.png"):
        paint(tmp_path / name)
    (tmp_path / "folds.csv").write_text("path,sha256,label,fold\na/1.png,x,a,0\nb/2.png,y,b,1\n")
    (tmp_path / "notes.csv").write_text("path,label\nelsewhere/1.png,q\n")
    assert [(record.label, record.fold) for record in read_records(Data(path=tmp_path))] == [("a", None), ("b", None)]


def test_an_example_of_an_answer_is_no_table_of_labels(leaves):
    leaves("image,labels\nleaf2,healthy\n", "sample_submission.csv")
    assert found(leaves("image,labels\nleaf0,rust\nleaf1,scab\n")) == {"leaf0.jpg": "rust", "leaf1.jpg": "scab"}


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8).map(str.strip)


@given(
    rows=st.lists(st.tuples(CELL, CELL, CELL).filter(any), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_is_written_comes_back(tmp_path_factory, rows, delimiter, newline):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline)
    writer.writerows([("image", "label", "other"), *rows])
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    path.write_bytes(text.getvalue().encode())
    table = read_table(path, ["image"])
    assert table.columns == ("image", "label", "other")
    assert [row.cells for row in table.rows] == rows
    assert [row.line for row in table.rows] == list(range(2, len(rows) + 2))


@pytest.fixture(scope="module")
def sound_tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    pq.write_table(pa.table({"image": ["a", "b"] * 9, "label": [1.0, None] * 9}), folder / "t.parquet")
    (folder / "t.csv").write_text('\ufeffimage;label\nö;1,0\n"x\ny";2\n')
    return folder


@given(data=st.data(), kind=st.sampled_from(["csv", "parquet"]))
def test_damaged_tables_give_a_table_or_one_plain_paragraph(sound_tables, data, kind):
    content = bytearray((sound_tables / f"t.{kind}").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    damaged = sound_tables / f"damaged.{kind}"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        table = read_table(damaged)
    except InputError as fault:
        said = str(fault)
    else:
        said = str(damaged)
        assert all(len(row.cells) == len(table.columns) for row in table.rows)
    assert str(damaged) in said
    assert "\n" not in said


def test_doubled_columns_of_a_parquet_file_are_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"]), pa.array(["c"])], names=["image", "label", "label"])
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(InputError, match="two columns named label"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize("separator", [",", "."])
def test_several_labels_that_are_numbers_are_no_fraction(leaves, separator):
    cells = ["1SEP0", "0", "1", "1SEP2"]
    rows = "".join(f'leaf{row},"{cell}"\n' for row, cell in enumerate(cells)).replace("SEP", separator)
    data = leaves(f"image,labels\n{rows}", labels={"kind": "multilabel", "separator": separator})
    assert list(found(data).values()) == [cell.replace("SEP", separator) for cell in cells]
    data = leaves(f"image,labels\n{rows}".replace(f"{separator}2", ""), labels=data.labels)
    assert found(data)["leaf0.jpg"] == f"1{separator}0"


def test_a_cell_of_separators_only_is_blank(leaves):
    text = "image,labels\nleaf0,a\nleaf1,b\nleaf2,;\nleaf3, ; ;\n"
    labels = {"kind": "multilabel", "separator": ";"}
    assert "blank in 2 rows: line 4, line 5" in refused(leaves(text, labels=labels, reader="table"))
    data = leaves(text, labels=labels, reader="table", unlabelled="skip")
    assert [record.flaw is None for record in read_records(data)] == [True, True, False, False]


def test_tables_that_might_never_end_are_refused(leaves, tmp_path):
    data = leaves("image,labels\nleaf0,a\n")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "device.parquet").symlink_to("/dev/zero")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "loop.csv").symlink_to("loop.csv")
    for name in ("pipe.csv", "device.parquet", "folder.csv"):
        assert "no ordinary file" in refused(data.model_copy(update={"table": Table(file=name)}))
        with pytest.raises(InputError, match="no ordinary file"):
            groups_of(read_records(data), data.model_copy(update={"groups": Groups(table=name)}), tmp_path)
    assert "cannot be read: Too many levels" in refused(data.model_copy(update={"table": Table(file="loop.csv")}))


def test_names_with_line_breaks_in_a_table_are_told_in_one_line(leaves):
    said = refused(leaves('image,labels\n"le\naf0",a\nleaf1,b\n', reader="table"))
    assert "le\\naf0 (is not there)" in said


def test_dates_beyond_all_calendars_in_a_parquet_table_are_told(leaves, tmp_path):
    data = leaves("", reader="table")
    (tmp_path / "train.csv").unlink()
    days = pa.array([10**9, 0], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"image": ["leaf0", "leaf1"], "label": ["a", "b"], "day": days}), tmp_path / "t.parquet")
    assert "not a Parquet file that can be read" in refused(data)


def test_a_table_that_was_passed_over_is_named_where_labels_are_missing(tmp_path, paint):
    paint(tmp_path / "leaf0.png")
    (tmp_path / "train.csv").write_bytes("image,label\nleaf0,é\n".encode("latin-1"))
    said = refused(Data(path=tmp_path))
    assert "train.csv was not taken for their table, and data.reader: table says why" in said
    assert "UTF-8" in refused(Data(path=tmp_path, reader="table"))
