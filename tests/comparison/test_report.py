from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import pandas as pd
import pytest
from PIL import Image

from tasks.comparison.looks.told import LookRow
from tasks.comparison.report.context import BackboneReport, FoldReport, ReportContext, Sheet
from tasks.comparison.report.page import report_html
from tasks.comparison.summary import summarise_folds

VOID = {"meta", "img", "br", "line", "circle", "hr", "link", "input"}


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.open, self.sources, self.text, self.rows, self.links, self.places = [], [], [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "srcset", "data")]
        self.links += [value for name, value in attrs if name == "href"]
        self.places += [value for name, value in attrs if name == "id"]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text.append(data)
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data.strip()


def backbone(name, series, *, statuses=None, error="", **more):
    k = len(series)
    values = {"balanced_accuracy": series, "log_loss": [0.3] * k, "f1/<b>cat</b>": series}
    folds = [
        FoldReport(i, (statuses or {}).get(i, "completed"), value, f"run-{name}-{i}", error if value is None else "")
        for i, value in enumerate(series)
    ]
    own = summarise_folds(values, n_train=[80] * k, n_test=[20] * k)
    n_images = 20 * sum(value is not None for value in series)
    return BackboneReport(name, name.upper(), own, folds, n_images, run_id=f"run-{name}", **more)


def context(*backbones, **more):
    counts = pd.DataFrame({"fold 0": [11, 9], "fold 1": [10, 10]}, index=["<b>cat</b>", "süßer Hund"])
    plain = {
        "name": "faces",
        "description": "What & why",
        "date": "2031-02-03",
        "version": "0.1.0",
        "data_digest": "d" * 64,
        "metric": "balanced_accuracy",
        "higher_is_better": True,
        "metric_limits": (0.0, 1.0),
        "n_images": 60,
        "n_folds": 3,
        "backbones": backbones,
        "class_counts": counts,
        "settings": "name: faces\ndata: {path: <here>}\n",
        "experiment_run_id": "run-top",
    }
    return ReportContext(**(plain | more))


def read(html):
    page = Page(html)
    assert page.open == []
    return page, " ".join(" ".join(page.text).split())


def test_the_page_says_what_was_compared_on_what_and_where_the_runs_are():
    html = report_html(context(backbone("a", [0.8, 0.9, 0.85]), backbone("b", [0.3, 0.4, 0.35])))
    page, text = read(html)
    assert "60 images in 3 folds" in text
    assert "a has the highest mean balanced accuracy: 0.850" in text
    assert next(row for row in page.rows if "fold 2" in row)[1:4] == ["fold 0", "fold 1", "fold 2"]
    assert ["a", "0.800", "0.900", "0.850"] in page.rows
    assert ["<b>cat</b>", "11", "10", "21"] in page.rows
    for run in ("run-top", "run-a", "run-b", "run-a-2"):
        assert run in text
    assert "dddddddddddd" in text


def test_repeats_and_several_labels_are_told():
    own = backbone("a", [0.8, 0.9, 0.85, 0.8, 0.8, 0.9], holdout={"balanced_accuracy": 0.7})
    more = {"n_folds": 6, "n_repeats": 2, "kind": "multilabel", "n_holdout": 4}
    page, text = read(report_html(context(own, **more)))
    assert "60 images in 3 folds, cut 2 times" in text
    assert "over the folds of all 2 repeats" in text
    assert "An image counts for each of its labels. The folds are those of the first repeat." in text
    assert "probabilities and of their thresholds)" in text
    assert any("6 of 6" in row for row in page.rows)
    _, plain = read(report_html(context(backbone("a", [0.8, 0.9, 0.85]))))
    for told in (", cut", "repeats", "An image counts", "threshold"):
        assert told not in plain


def test_backbones_stand_from_best_to_worst():
    page, _ = read(report_html(context(backbone("a", [0.1, 0.2, 0.1]), backbone("b", [0.9, 0.9, 0.8]))))
    header = next(row for row in page.rows if row[0] == "Metric")
    assert header[1:] == ["b", "a"]


def test_nothing_is_fetched_from_anywhere():
    sheet = io.BytesIO()
    Image.new("RGB", (4, 3), (200, 10, 10)).save(sheet, "PNG")
    html = report_html(context(backbone("a", [0.8, 0.9, 0.85]), sheets=[Sheet("Grad-CAM", sheet.getvalue())]))
    page, _ = read(html)
    assert all(source.startswith("data:image/png;base64,") for source in page.sources)
    assert len(page.sources) == 1
    assert base64.b64decode(page.sources[0].split(",")[1]) == sheet.getvalue()
    assert not re.search(r"https?://|url\(|@import|<script", html)


def test_labels_messages_and_settings_cannot_become_markup():
    own = backbone("a", [0.8, None, 0.7], statuses={1: "failed"}, error="<script>alert(1)</script>")
    html = report_html(context(own, name="<i>x</i>", warnings=["<u>w</u>"]))
    _, text = read(html)
    for raw in ("<script>", "<b>cat", "<i>x", "<u>w", "<here>"):
        assert raw not in html
        assert raw in text


def test_failed_and_missing_folds_are_marked_with_their_reason():
    failed = backbone("a", [0.8, None, None], statuses={1: "failed", 2: "failed"}, error="The loss was NaN.")
    gone = backbone("b", [0.7, 0.6, None], statuses={0: "reused", 2: "missing"})
    page, text = read(report_html(context(failed, gone)))
    assert ["a", "0.800", "✗ failed", "✗ failed"] in page.rows
    assert ["b", "↺ 0.700", "0.600", "missing"] in page.rows
    assert "a, folds 1, 2: The loss was NaN." in text
    assert "2 fold runs failed" in text
    assert "1 fold run is missing" in text
    assert any("1 of 3" in row and "20 of 60" in row for row in page.rows)


def test_many_folds_stand_below_each_other():
    own = backbone("a", [0.8] * 12 + [None], statuses={12: "failed"}), backbone("b", [0.25] * 13)
    page, _ = read(report_html(context(*own, n_folds=13)))
    assert ["Fold", "a", "b"] in page.rows
    assert ["0", "0.800", "0.250"] in page.rows
    assert ["12", "✗ failed", "0.250"] in page.rows


def test_an_experiment_where_all_failed_still_has_a_report():
    own = backbone("a", [None, None, None], statuses=dict.fromkeys(range(3), "failed"), error="boom")
    _, text = read(report_html(context(own)))
    assert "nothing to compare" in text
    assert "nan" not in text.lower().split()
    assert "All metrics" not in text or "log loss" in text


def test_one_fold_claims_no_interval():
    html = report_html(context(backbone("a", [0.8]), backbone("b", [0.7]), n_folds=1))
    _, text = read(html)
    assert "difference is not established" in text
    assert 'class="interval"' not in html
    assert "Bar:" not in text


def test_the_holdout_is_shown_only_where_there_is_one():
    plain = backbone("a", [0.8, 0.9, 0.7])
    scored = backbone("a", [0.8, 0.9, 0.7], holdout={"balanced_accuracy": 0.4321})
    assert "Holdout" not in read(report_html(context(plain)))[1]
    page, text = read(report_html(context(scored, n_holdout=968)))
    assert "968 images that no fold ever held" in text
    assert ["balanced accuracy", "0.432"] in page.rows


@pytest.mark.parametrize("n_backbones", [1, 2, 3])
def test_the_plot_has_a_row_a_backbone_and_a_dot_a_fold(n_backbones):
    own = [backbone(f"b{i}", [0.5 + i / 10, 0.6, 0.55]) for i in range(n_backbones)]
    html = report_html(context(*own, chance=0.55))
    assert html.count('class="mean"') == n_backbones
    assert html.count('class="fold"') == 3 * n_backbones
    assert html.count('class="chance"') == n_backbones
    assert ("partly the luckiest" in html) == (n_backbones > 2)


def look_row(backbone, **more):
    plain = {
        "method": "Grad-CAM",
        "overall": ("0.31", "0.22 to 0.40"),
        "controls": ("0.02", "0.11"),
        "sanity": ("0.10", ""),
        "noise": ("0.95", ""),
        "shift": ("0.90", ""),
        "border": ("41 %", "38 % to 44 %"),
        "corner": "12 %",
        "hit": "–",
        "inside": ("–", ""),
        "holdout": ("–", ""),
        "others": ("0.55", ""),
        "verdict": "The maps change.",
        "fails": "",
        "doubted": False,
    }
    return LookRow(backbone, **(plain | more))


def test_the_report_says_how_far_to_believe_the_pictures_of_each_backbone():
    rows = [
        look_row("a"),
        look_row("<b>", doubted=True, fails="it is <u>blind</u>", verdict="Not shown.", n_measured=24),
    ]
    html = report_html(context(backbone("a", [0.8, 0.9, 0.85]), looks=rows, has_gallery=True))
    page, text = read(html)
    assert "Where each backbone looks, and whether to believe the pictures" in text
    found = page.rows[[row[0] for row in page.rows].index("Maps") + 1]
    assert found == ["a", "0.31", "0.02", "0.11", "0.10", "0.95", "0.90", "–", "0.55", "41 %", "12 %"]
    assert all(told in text for told in ("Grad-CAM", "0.22 to 0.40", "38 % to 44 %"))
    assert "explanations.html" in text
    assert "✗ Not shown. It fails sanity checks by construction: it is <u>blind</u>. Measured on 24 images." in text
    assert text.count("Measured on") == 1
    assert "of the area it is 36 % and 16 %" in text.replace("\xa0", " ")
    assert "hits" not in text
    for raw in ("<u>blind", "<b></th"):
        assert raw not in html


def test_hits_are_shown_where_regions_are_given():
    rows = [look_row("a", hit="80 %", inside=("62 %", "area 20 %"))]
    page, text = read(report_html(context(backbone("a", [0.8, 0.9, 0.85]), looks=rows)))
    assert page.rows[[row[0] for row in page.rows].index("Maps") + 1][-2:] == ["80 %", "62 %"]
    assert "area 20 %" in text
    assert "pointing game" in text
    assert "explanations.html" not in text


def test_nothing_explained_leaves_the_section_out():
    _, text = read(report_html(context(backbone("a", [0.8, 0.9, 0.85]))))
    assert "Where each backbone looks" not in text
