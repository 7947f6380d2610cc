from __future__ import annotations

import csv
from datetime import date

import pandas as pd
import pytest

from tasks.config import InputError
from tasks.dataset.corrections import COLUMNS, Correction, corrected, read_corrections, write_for_annotators
from tasks.dataset.targets import Targets

ANIMALS = Targets(("cat", "dog", "bird"))
GRADES = Targets(("0", "1", "2"), "ordinal")
LEAVES = Targets(("rust", "scab"), "multilabel", separator=" ")
IMAGES = pd.DataFrame(
    {
        "path": pd.Series(["a.png", "b/ä, b.png", "c.png"], dtype=object),
        "label": pd.Series(["cat", "dog", "cat"], dtype=object),
        "sha256": pd.Series(["aa", "bb", "cc"], dtype=object),
    }
)
SUSPECTS = pd.DataFrame(
    {
        "path": ["b/ä, b.png", "a.png"],
        "sha256": ["bb", "aa"],
        "given": ["dog", "cat"],
        "suggested": ["cat", "bird"],
        "probability": [0.98765, 0.5],
        "margin": [-0.9, -0.1],
        "self_confidence": [0.01, 0.3],
    }
)
DAY = date(2026, 3, 31)


@pytest.fixture
def sheet(tmp_path):
    def write(*rows, header="path,correct,by,when", name="filled.csv"):
        file = tmp_path / name
        file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return file

    return write


def refused(files, targets=ANIMALS, images=IMAGES, **others):
    with pytest.raises(InputError) as fault:
        read_corrections(files, images, targets, **others)
    return str(fault.value)


def test_the_table_goes_out_and_comes_back_filled_in(tmp_path):
    file = tmp_path / "suspects.csv"
    write_for_annotators(SUSPECTS, ANIMALS, file)
    with file.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert tuple(rows[0]) == COLUMNS
    assert [row["probability"] for row in rows] == ["0.988", "0.500"]
    assert {row[name] for row in rows for name in ("correct", "by", "when")} == {""}
    assert read_corrections([file], IMAGES, ANIMALS) == ()
    rows[0] |= {"correct": "cat", "by": "Ida", "when": "2026-03-31"}
    rows[1] |= {"correct": "cat", "by": "Ida", "when": "2026-04-01T09:30"}
    with file.open("w", encoding="utf-16", newline="") as opened:
        writer = csv.DictWriter(opened, COLUMNS, delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    found = read_corrections([file], IMAGES, ANIMALS)
    assert found == (
        Correction("a.png", "cat", "cat", "Ida", date(2026, 4, 1)),
        Correction("b/ä, b.png", "dog", "cat", "Ida", DAY),
    )
    mended = corrected(IMAGES, found)
    assert mended["label"].tolist() == ["cat", "cat", "cat"]
    assert mended["label"].dtype == object
    assert IMAGES["label"].tolist() == ["cat", "dog", "cat"]


def test_a_table_that_may_be_filled_in_is_never_written_over(sheet):
    file = sheet("a.png,dog,Ida,2026-03-31")
    before = file.read_bytes()
    with pytest.raises(InputError, match="somebody may have filled it in"):
        write_for_annotators(SUSPECTS, ANIMALS, file)
    assert file.read_bytes() == before


def test_path_and_label_are_enough_where_all_rows_are_by_one_person(sheet):
    file = sheet("a.png,dog", ",", "c.png,", header="path,correct")
    assert read_corrections([file], IMAGES, ANIMALS, by="Ida", when=DAY) == (
        Correction("a.png", "cat", "dog", "Ida", DAY),
    )


def test_a_row_says_itself_who_and_when_before_anybody_says_it_for_all(sheet):
    file = sheet("a.png,dog,Ole,2026-01-02", "c.png,bird,,")
    found = read_corrections([file], IMAGES, ANIMALS, by="Ida", when=DAY)
    assert [(one.by, one.when) for one in found] == [("Ole", date(2026, 1, 2)), ("Ida", DAY)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("z.png,dog,Ida,2026-03-31", "line 3: there is no image `z.png`"),
        ("c.png,dgo,Ida,2026-03-31", "line 3: 'dgo' is no label of the data; did you mean dog?"),
        ("c.png,wombat,Ida,2026-03-31", "line 3: 'wombat' is no label of the data; the labels are cat, dog, bird"),
        ("c.png,dog,,2026-03-31", "line 3: the column `by` does not say who"),
        ("c.png,dog,Ida,", "line 3: the column `when` does not say on which day"),
        ("c.png,dog,Ida,31.03.2026", "line 3: `when` holds '31.03.2026'"),
        ("a.png,dog,Ole,2026-03-31", "line 3: `a.png` is dog here and bird in filled.csv, line 2"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(sheet, row, message):
    said = refused([sheet("a.png,bird,Ida,2026-03-31", row)])
    assert message in said
    assert said.startswith("1 row of corrections cannot be taken: filled.csv, line 3")


def test_all_wrong_rows_are_told_up_to_ten(sheet):
    said = refused([sheet(*(f"{number}.png,dog,Ida,2026-03-31" for number in range(12)))])
    assert said.startswith("12 rows of corrections")
    assert "line 11: there is no image `9.png` in the data; and 2 more." in said
    assert "10.png" not in said


def test_two_people_who_agree_are_fine_and_two_who_do_not_are_told_with_both_places(sheet):
    first = sheet("a.png,dog,Ida,2026-03-31", name="ida.csv")
    same = sheet("a.png,dog,Ole,2026-04-01", name="ole.csv")
    other = sheet("c.png,cat,Eva,2026-04-01", "a.png,cat,Eva,2026-04-01", name="eva.csv")
    assert [one.by for one in read_corrections([first, same], IMAGES, ANIMALS)] == ["Ida"]
    assert "eva.csv, line 3: `a.png` is cat here and dog in ida.csv, line 2" in refused([first, other])


def test_a_table_for_other_pixels_or_another_label_is_refused(sheet):
    header = "path,given,correct,by,when,sha256"
    assert "other pixels now" in refused([sheet("a.png,cat,dog,Ida,2026-03-31,ff", header=header)])
    said = refused([sheet("a.png,bird,dog,Ida,2026-03-31,aa", header=header)])
    assert "`a.png` was bird when the table was written and is cat now" in said


def test_a_table_without_the_columns_is_refused(sheet):
    assert "has no column correct" in refused([sheet("a.png,dog", header="path,label")])


def test_spreadsheets_may_give_grades_a_fraction(sheet):
    images = IMAGES.assign(label=["0", "1", "2"])
    file = sheet("a.png;0,0;2,0;Ida;2026-03-31", "c.png;2,0;;;", header="path;given;correct;by;when")
    assert [one.correct for one in read_corrections([file], images, GRADES)] == ["2"]


def test_an_image_without_any_label_is_told_by_a_name_and_not_by_a_blank_cell(sheet, tmp_path):
    images = IMAGES.assign(label=["rust", "", "rust scab"])
    out = tmp_path / "out.csv"
    write_for_annotators(SUSPECTS.assign(given=["", "rust"], suggested=["rust scab", ""]), LEAVES, out)
    written = pd.read_csv(out)
    assert written["given"].tolist() == ["no label", "rust"]
    assert written["suggested"].tolist() == ["rust scab", "no label"]
    file = sheet("a.png,rust,no label,Ida,2026-03-31", "c.png,scab rust,scab  rust,Ida,2026-03-31",
                 '"b/ä, b.png",no label,scab,Ida,2026-03-31', header="path,given,correct,by,when")  # fmt: skip
    found = read_corrections([file], images, LEAVES)
    assert [(one.given, one.correct) for one in found] == [("rust", ""), ("", "scab"), ("rust scab", "rust scab")]
    assert corrected(images, found)["label"].tolist() == ["", "scab", "rust scab"]


def test_a_class_may_have_a_name_that_spreadsheets_take_for_nothing(sheet):
    targets, images = Targets(("NA", "EU")), IMAGES.assign(label="EU")
    file = sheet("a.png,NA,Ida,2026-03-31", "c.png,null,Ida,2026-03-31")
    assert [one.correct for one in read_corrections([file], images, targets)] == ["NA"]
