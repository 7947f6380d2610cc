from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tasks.config import Data, Folds
from tasks.dataset.audit import audit
from tasks.dataset.folds import assign_folds
from tasks.dataset.manifest import read_manifest


def codes(report):
    return {finding.code: finding for finding in report.findings}


def test_clean_data_gives_no_findings(table_of):
    manifest = table_of([{"label": "ab"[number % 2]} for number in range(60)])
    manifest.table[["width", "height"]] = 64
    report = audit(manifest, assign_folds(manifest, Folds(), seed=0))
    assert report.findings == ()
    assert "Nothing to report" in report.to_html()


def test_copies_are_found_with_what_is_wrong_about_them(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"{number:02d}.png"} for number in range(60)]
    for one, two in ((0, 2), (4, 5), (6, 8)):
        rows[two]["sha256"] = rows[one]["sha256"] = f"copy {one}"
    rows[8]["split"] = "holdout"
    manifest = table_of(rows)
    fold = np.arange(60) % 3
    fold[2], fold[5], fold[8] = fold[0], fold[4], -1
    found = codes(audit(manifest, fold))
    assert set(found["duplicates.exact"].images) == {"00.png", "02.png", "04.png", "05.png", "06.png", "08.png"}
    assert found["duplicates.labels"].images == ("04.png", "05.png")
    assert found["duplicates.across_folds"].images == ("06.png", "08.png")
    assert found["duplicates.across_folds"].severity == found["duplicates.labels"].severity == "warn"
    assert "04.png = 05.png" in found["duplicates.labels"].message


def test_imbalance_speaks_only_beyond_ten_to_one(table_of):
    for largest, speaks in ((200, False), (201, True)):
        manifest = table_of([{"label": "a"}] * largest + [{"label": "b"}] * 20)
        found = codes(audit(manifest, np.arange(largest + 20) % 5))
        assert ("labels.imbalance" in found) is speaks
        assert "labels.few" not in found
    manifest = table_of([{"label": "a"}] * 20 + [{"label": "b"}] * 19)
    assert len(codes(audit(manifest, np.arange(39) % 5))["labels.few"].images) == 19


def test_tiny_images_and_mixed_sizes_are_noted(table_of):
    manifest = table_of([{"label": "ab"[number % 2]} for number in range(60)])
    manifest.table[["width", "height"]] = 64
    manifest.table.loc[3, "height"] = 31
    found = codes(audit(manifest, np.arange(60) % 5))
    assert found["images.tiny"].images == (manifest.table["path"][3],)
    assert "2 sizes" in found["images.sizes"].message
    assert "2.06" in found["images.sizes"].message


def test_a_fold_without_a_class_and_a_group_on_both_sides_are_warned_of(table_of):
    rows = [{"label": "a" if number < 30 else "b", "path": f"{number:02d}.png"} for number in range(60)]
    rows[5] |= {"group": "p", "split": "holdout"}
    rows[9] |= {"group": "p"}
    manifest = table_of(rows)
    fold = np.arange(60) % 2
    fold[5] = -1
    fold[30:] = 0
    found = codes(audit(manifest, fold))
    assert "fold 1: b" in found["folds.missing_class"].message
    assert found["groups.holdout"].images == ("05.png",)


@pytest.fixture
def report(tmp_path, paint):
    """The audit of real files with awkward names, one of them unreadable, and a test split."""
    for split, count in (("train", 6), ("test", 2)):
        for label in ("<b>ö & co</b>", "plain"):
            for number in range(count):
                paint(tmp_path / split / label.replace("/", "∕") / f'"{number}".png', seed=number, size=(40, 50))
    (tmp_path / "train/plain/bad.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x")
    manifest = read_manifest(Data(path=tmp_path, on_corrupt="skip"))
    return audit(manifest, assign_folds(manifest, Folds(n_splits=3), seed=0))


def test_the_json_counts_what_is_there(report):
    facts = json.loads(json.dumps(report.to_json()))
    strange = "<b>ö & co<∕b>"
    assert facts["classes"] == {strange: 8, "plain": 8}
    assert facts["folds"] == {name: {strange: 2, "plain": 2} for name in ("0", "1", "2", "holdout")}
    assert (facts["n_images"], facts["n_unreadable"], facts["n_ignored_files"]) == (16, 1, 1)
    assert facts["image_sizes"] == {
        "n_sizes": 1,
        "width": {"min": 40, "median": 40.0, "max": 40},
        "height": {"min": 50, "median": 50.0, "max": 50},
        "common": [{"width": 40, "height": 50, "n_images": 16}],
    }
    unreadable = next(finding for finding in facts["findings"] if finding["code"] == "files.unreadable")
    assert unreadable["images"] == ["train/plain/bad.png"]
    assert [finding["severity"] for finding in facts["findings"]] == sorted(
        (finding["severity"] for finding in facts["findings"]), key=["stop", "warn", "note"].index
    )


def test_the_number_of_ignored_files_can_be_given(report):
    again = audit(report.manifest, report.fold_of_row, n_ignored_files=12)
    assert again.to_json()["n_ignored_files"] == 12
    assert "12 files" in codes(again)["files.ignored"].message


class Page(HTMLParser):
    """Collects start tags, and sees that they are closed in order."""

    VOID = frozenset({"meta", "img", "link", "br"})

    def __init__(self):
        super().__init__()
        self.tags, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_is_well_formed_escaped_and_needs_nothing_beside_it(report):
    html = report.to_html()
    page = Page()
    page.feed(html)
    assert page.open == []
    text = " ".join(page.text)
    assert "<b>ö & co<∕b>" in text
    assert "files.unreadable" in text
    assert "held out" in text
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == 16
    assert all(attrs["src"].startswith("data:image/jpeg;base64,") for attrs in pictures)
    assert {attrs["title"] for attrs in pictures} == set(report.manifest.table["path"])
    assert not any(tag in ("script", "link", "b>ö") for tag, _ in page.tags)
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)


def test_a_picture_that_vanished_is_left_out_of_the_page(report):
    (report.manifest.root / report.manifest.table["path"][0]).unlink()
    assert report.to_html().count("<img") == 15
