from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from tasks.config import Data, Folds, InputError
from tasks.dataset.audit.audit import audit
from tasks.dataset.audit.findings import CODES, check_off
from tasks.dataset.audit.size_chart import size_chart
from tasks.dataset.folds.assignment import assign_folds
from tasks.dataset.folds.leaks import kept_together
from tasks.dataset.manifest import read_manifest
from tasks.dataset.targets import Targets
from tests.support.corpus import picture

DATA = Data(path=".")


def codes(report):
    return {finding.code: finding for finding in report.findings}


def test_clean_data_gives_no_findings(table_of):
    manifest = table_of([{"label": "ab"[number % 2]} for number in range(60)])
    manifest.table[["width", "height"]] = 64
    report = audit(manifest, assign_folds(manifest, Folds(), seed=0), DATA)
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
    found = codes(audit(manifest, fold, DATA))
    assert set(found["duplicates.exact"].images) == {"00.png", "02.png", "04.png", "05.png", "06.png", "08.png"}
    assert found["duplicates.labels"].images == ("04.png", "05.png")
    assert found["duplicates.across_folds"].images == ("06.png", "08.png")
    assert (found["duplicates.across_folds"].severity, found["duplicates.labels"].severity) == ("stop", "warn")
    assert "04.png = 05.png" in found["duplicates.labels"].message


def test_imbalance_speaks_only_beyond_ten_to_one(table_of):
    for largest, speaks in ((200, False), (201, True)):
        manifest = table_of([{"label": "a"}] * largest + [{"label": "b"}] * 20)
        found = codes(audit(manifest, np.arange(largest + 20) % 5, DATA))
        assert ("labels.imbalance" in found) is speaks
        assert "labels.few" not in found
    manifest = table_of([{"label": "a"}] * 20 + [{"label": "b"}] * 19)
    assert len(codes(audit(manifest, np.arange(39) % 5, DATA))["labels.few"].images) == 19


def test_tiny_images_and_mixed_sizes_are_noted(table_of):
    manifest = table_of([{"label": "ab"[number % 2]} for number in range(60)])
    manifest.table[["width", "height"]] = 64
    manifest.table.loc[3, "height"] = 31
    found = codes(audit(manifest, np.arange(60) % 5, DATA))
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
    found = codes(audit(manifest, fold, DATA))
    assert "fold 1: b" in found["folds.missing_class"].message
    assert found["groups.holdout"].images == ("05.png", "09.png")
    assert found["groups.holdout"].severity == "stop"
    allowed = codes(audit(manifest, fold, Data(path=".", allow_leaks=["05.png"])))
    assert allowed["groups.holdout"].severity == allowed["groups.allowed_leaks"].severity == "warn"
    assert allowed["groups.allowed_leaks"].images == ("05.png",)


def test_what_only_a_later_repeat_breaks_is_found_too(table_of):
    rows = [{"label": "ab"[number // 30], "path": f"{number:02d}.png"} for number in range(60)]
    rows[1]["sha256"] = rows[3]["sha256"] = "copy"
    rows[5] |= {"group": "p"}
    rows[7] |= {"group": "p"}
    first = np.arange(60) % 2
    second = np.where(np.arange(60) < 30, 2, 3)
    second[[3, 7]] = 3
    report = audit(table_of(rows), np.stack([first, second], axis=1), DATA)
    found = codes(report)
    assert found["duplicates.across_folds"].images == ("01.png", "03.png")
    assert found["groups.across_folds"].images == ("05.png", "07.png")
    assert found["duplicates.across_folds"].severity == found["groups.across_folds"].severity == "stop"
    assert "fold 2: b" in found["folds.missing_class"].message
    assert "fold 0" not in found["folds.missing_class"].message
    assert set(codes(audit(table_of(rows), first, DATA))).isdisjoint(set(found) - {"duplicates.exact", "images.tiny"})
    facts = report.to_json()
    assert (facts["n_repeats"], facts["classes"]) == (2, {"a": 30, "b": 30})
    assert facts["folds"]["2"] == {"a": 28, "b": 0}
    html = report.to_html()
    assert "3 × 2" not in html
    assert "2 × 2" in html
    assert html.index("Repeat 1") < html.index("fold 1</th>") < html.index("Repeat 2") < html.index("fold 2</th>")


@pytest.fixture
def report(tmp_path, paint):
    """The audit of real files with awkward names, one of them unreadable, and a test split."""
    for split, count in (("train", 6), ("test", 2)):
        for label in ("<b>ö & co</b>", "plain"):
            for number in range(count):
                paint(tmp_path / split / label.replace("/", "∕") / f'"{number}".png', seed=number, size=(40, 50))
    (tmp_path / "train/plain/bad.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("x")
    data = Data(path=tmp_path, on_corrupt="skip", allow_leaks=["*"])
    manifest = kept_together(read_manifest(data), data)
    return audit(manifest, assign_folds(manifest, Folds(n_splits=3), seed=0), data)


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
    unreadable = next(finding for finding in facts["findings"] if finding["code"] == "files.empty")
    assert unreadable["images"] == ["train/plain/bad.png"]
    assert [finding["severity"] for finding in facts["findings"]] == sorted(
        (finding["severity"] for finding in facts["findings"]), key=["stop", "warn", "note"].index
    )


def test_the_number_of_ignored_files_can_be_given(report):
    again = audit(report.subject.manifest, report.subject.table["part"].to_numpy(), DATA, n_ignored_files=12)
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
    assert "files.empty" in text
    assert "held out" in text
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) > 16
    assert all(attrs["src"].startswith("data:image/jpeg;base64,") for attrs in pictures)
    assert {attrs["title"] for attrs in pictures} == set(report.subject.manifest.table["path"])
    assert not any(tag in ("script", "link", "b>ö") for tag, _ in page.tags)
    assert not re.search(r"(?:src|href)=\"(?!data:)", html)


def test_a_picture_that_vanished_is_left_out_of_the_page(report):
    gone = report.subject.manifest.table["path"][0]
    (report.subject.manifest.root / gone).unlink()
    page = Page()
    page.feed(report.to_html())
    shown = {attrs["title"] for tag, attrs in page.tags if tag == "img"}
    assert shown == set(report.subject.manifest.table["path"]) - {gone}


def test_codes_are_turned_off_one_by_one_or_as_a_family_but_never_what_stops(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"{number:02d}.png"} for number in range(60)]
    rows[0]["sha256"] = rows[2]["sha256"] = "copy"
    manifest, fold = table_of(rows), np.arange(60) // 2 % 3
    assert set(codes(audit(manifest, fold, DATA))) == {"duplicates.exact", "duplicates.across_folds", "images.tiny"}
    report = audit(manifest, fold, Data(path=".", audit={"off": ["images", "duplicates.exact"]}))
    assert set(codes(report)) == {"duplicates.across_folds"}
    assert report.to_json()["off"] == ["images", "duplicates.exact"]
    assert "<code>duplicates.exact</code>" in report.to_html()
    report = audit(manifest, fold, Data(path=".", audit={"off": ["duplicates"]}))
    assert set(codes(report)) == {"duplicates.across_folds", "images.tiny"}


@pytest.mark.parametrize(("wrong", "near"), [("images.blured", "images.blurred"), ("image", "images")])
def test_a_code_that_the_audit_does_not_have_is_refused_with_the_nearest(wrong, near):
    with pytest.raises(InputError, match=f"no code '{wrong}'. Did you mean {near}?"):
        check_off(["labels", wrong])
    check_off([*CODES, "files"])


def test_every_finding_of_real_files_has_a_known_code_and_advice(everything_odd):
    report = audit(everything_odd, np.arange(len(everything_odd.table)) % 2, DATA)
    assert report.findings
    for finding in report.findings:
        assert finding.code in CODES
        assert finding.advice
        assert set(finding.images) <= {*everything_odd.table["path"], *everything_odd.rejected["path"], "a/out.png"}
    page = Page()
    page.feed(report.to_html())
    assert page.open == []


@pytest.fixture
def everything_odd(tmp_path):
    """Smooth pictures in two classes, some of them files as people have them, with facts and pairs."""
    root = tmp_path / "data"
    for number in range(12):
        file = root / "ab"[number % 2] / f"{number:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(number, 64, 48)).save(file)
    (root / "a/empty.png").touch()
    (root / "a/text.png").write_text("no picture")
    (root / "a/cut.png").write_bytes((root / "a/00.png").read_bytes()[:-40])
    (root / "a/broken.png").symlink_to("nowhere.png")
    Image.fromarray(picture(20, 64, 48)).save(root / "a/really.png", "JPEG")
    frames = [Image.fromarray(picture(seed, 64, 48)) for seed in (21, 22)]
    frames[0].save(root / "b/moving.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(picture(23, 64, 48)).save(tmp_path / "outside.png")
    (root / "a/out.png").symlink_to("../../outside.png")
    (root / "b/link.png").symlink_to("../a/00.png")
    data = Data(path=root, on_corrupt="skip")
    return kept_together(read_manifest(data), data)


def test_files_that_are_not_what_they_should_be_are_told_apart(everything_odd):
    found = codes(audit(everything_odd, np.zeros(len(everything_odd.table), dtype=np.int64), DATA))
    images = {code.split(".")[1]: finding.images for code, finding in found.items() if code.startswith("files.")}
    assert images == {
        "empty": ("a/empty.png",),
        "no_image": ("a/text.png",),
        "truncated": ("a/cut.png",),
        "missing": ("a/broken.png",),
        "wrong_type": ("a/really.png",),
        "animated": ("b/moving.gif",),
        "links_outside": ("a/out.png",),
        "two_names": ("a/00.png", "b/link.png"),
    }
    assert "a/really.png (JPEG)" in found["files.wrong_type"].message


def test_near_duplicates_stand_side_by_side_on_the_page(everything_odd):
    root = everything_odd.root
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(root / "a/02.png")
    Image.open(root / "a/02.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).resize((66, 50)).save(
        root / "b/02 <&>.png"
    )
    data = Data(path=root, on_corrupt="skip")
    manifest = kept_together(read_manifest(data), data)
    rows = manifest.table.set_index("path")["group"]
    assert rows["a/02.png"] == rows["b/02 <&>.png"]
    report = audit(manifest, np.arange(len(manifest.table)) % 2, data)
    pairs = [{pair[side]["path"] for side in ("first", "second")} for pair in report.to_json()["near_duplicates"]]
    assert {"a/02.png", "b/02 <&>.png"} in pairs
    html = report.to_html()
    assert "mirrored left to right" in html
    assert "different labels" in html
    assert "<&>" not in html


def test_labels_of_an_image_with_several_count_each(table_of):
    targets = Targets(("rust", "scab"), "multilabel", " ", "healthy")
    labels = ["rust", "rust scab", "healthy", "scab", "rust scab"]
    manifest = table_of([{"label": label, "path": str(place)} for place, label in enumerate(labels)], targets=targets)
    report = audit(manifest, np.array([0, 0, 1, 1, -1]), DATA)
    facts = report.to_json()
    assert facts["classes"] == {"rust": 3, "scab": 3, "healthy": 1}
    assert facts["folds"]["1"] == {"rust": 0, "scab": 1, "healthy": 1}
    assert facts["fold_sizes"] == {"0": 2, "1": 2, "holdout": 1}
    assert "fold 1: rust" in codes(report)["folds.missing_class"].message
    assert "healthy" not in codes(report)["folds.missing_class"].message


def test_the_chart_of_sizes_holds_every_size_within_its_axes():
    common = [{"width": 1 + 97 * n, "height": 5000 - 97 * n, "n_images": 1 + n} for n in range(40)]
    sizes = {"n_sizes": 40, "width": {"max": 3784}, "height": {"max": 5000}, "common": common}
    chart = size_chart(sizes)
    assert len(chart["circles"]) == 40
    assert all(
        0 <= circle["x"] <= chart["width"] and 0 <= circle["y"] <= chart["height"] for circle in chart["circles"]
    )
    assert [tick["text"] for tick in chart["up"]] == ["0", "1,000", "2,000", "3,000", "4,000", "5,000"]
    assert size_chart({"n_sizes": 1}) is None


def test_codes_that_others_report_can_be_turned_off_too():
    check_off(["explain", "explain.corner"], {"explain.corner": "where a model looks"})
    with pytest.raises(InputError, match=r"Did you mean explain\.corner\?"):
        check_off(["explain.corners"], {"explain.corner": "where a model looks"})
    with pytest.raises(InputError, match=r"explain\.corner"):
        check_off(["explain.corner"])
