"""The report of whole experiments of all kinds, from the predictions on; nothing is trained or logged."""

from __future__ import annotations

import json
import re

import pytest
from PIL import Image

from tasks.comparison.looks.content import Seen
from tasks.comparison.report.drawn import draw_figures
from tasks.comparison.report.experiment_report import report
from tasks.comparison.report.section_files import section_content
from tasks.comparison.sections import sections_of
from tests.support.made_evidence import made_evidence

EMPTY = {"nan", "inf", "-inf", "<NA>", "NaT"}


def words(html):
    """The words that people read, settings aside."""
    shown = re.sub(r"<(style|pre)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return {word.strip("().,;:") for word in re.sub(r"<[^>]*>", " ", shown).split()}


def made(tmp_path, temperatures, folder="made", uri="sqlite:///mlflow.db", **more):
    """Give the sections and the page of made-up evidence, and the files that were written."""
    root = tmp_path / folder
    root.mkdir()
    for number in range(more["n"] + more.get("n_holdout", 0)):
        Image.new("RGB", (8, 8), (number % 256, 90, 30)).save(root / f"{number:05}.png")
    evidence = made_evidence(root, temperatures, n_draws=1000, cost=False, **more)
    findings = [{"severity": "note", "code": "images.tiny", "message": "Few pixels: a.", "n_images": 2}]
    (root / "audit.json").write_text(json.dumps({"findings": findings}), encoding="utf-8")
    sections = sections_of(evidence)
    drawn = draw_figures(sections, ["png"])
    html = report(
        evidence.plan,
        evidence.results,
        Seen(),
        {},
        sections,
        drawn,
        audit=root / "audit.json",
        has_gallery=False,
        warnings=[],
        seconds=3.0,
        tracking_uri=uri,
        run_id="run-top",
    )
    written = root / "written"
    written.mkdir()
    list(section_content(sections, drawn, written))
    return sections, html, written


KINDS = {
    "two classes with groups": {"classes": ("a", "b"), "group_size": 4},
    "grades and a failed fold": {"kind": "ordinal", "classes": ("0", "1", "2", "3"), "missing": {"ncnn": [1]}},
    "several labels and a holdout": {"kind": "multilabel", "n_holdout": 20},
    "repeats": {"n_repeats": 2},
    "no fold in common": {"missing": {"ncnn": [0, 1], "vgg16": [2]}},
    "few images": {"n": 18, "n_validation": 3},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_experiment_has_a_report(tmp_path, kind):
    sections, html, written = made(
        tmp_path, {"ncnn": 1.0, "vgg16": 0.6}, **({"n": 90, "n_validation": 12} | KINDS[kind])
    )
    for section in sections:
        assert f'id="{section.key}"' in html
        assert all((written / "tables" / f"{table.name}.csv").stat().st_size for table in section.tables)
    assert not EMPTY & words(html)
    assert ">None<" not in html
    assert html.count("<img") == sum(len(section.drawings) + len(section.pictures) for section in sections)


def test_nothing_finished_has_a_report(tmp_path):
    _, html, _ = made(tmp_path, {"ncnn": 1.0}, n=60, n_validation=6, missing={"ncnn": [0, 1, 2]})
    assert "nothing to compare" in html


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The page of one backbone, whose store's address has a password."""
    uri = "https://me:s3cret@mlflow.example/x"
    return made(tmp_path_factory.mktemp("plain"), {"ncnn": 1.0}, n=60, n_validation=6, uri=uri)[1]


def test_one_backbone_alone_is_told_without_a_comparison(plain):
    assert "ncnn has" in plain[plain.index('id="summary"') : plain.index("<nav")]
    assert 'id="statistics"' in plain


def test_the_page_says_what_it_takes_to_repeat_it(plain):
    done = plain[plain.index('id="done"') :]
    for told in ("foldcam run experiment.yaml", "numpy", "tensorflow", "Python", "core", "seed"):
        assert told in done


def test_the_address_of_the_store_is_told_without_its_password(plain):
    assert "https://mlflow.example/x" in plain
    assert "s3cret" not in plain


def test_the_same_experiment_gives_the_same_files_and_page(tmp_path):
    first, second = (
        made(tmp_path, {"ncnn": 1.0, "vgg16": 0.6}, folder, n=60, n_validation=6) for folder in ("first", "second")
    )
    dated = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC|/\w+/(first|second)\b|/(first|second)\b")
    assert dated.sub("", first[1]) == dated.sub("", second[1])
    names = sorted(str(path.relative_to(first[2])) for path in first[2].rglob("*.*"))
    assert names
    for name in names:
        assert (first[2] / name).read_bytes() == (second[2] / name).read_bytes(), name
