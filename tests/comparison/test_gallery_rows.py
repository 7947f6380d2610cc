"""The table of the gallery page, and the maps that it is drawn from."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.comparison.looks import gallery_rows as module
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.gallery_rows import gallery_rows, maps_of, write_gallery
from tasks.comparison.looks.looking import Looks, look
from tasks.explanation.gallery_page import COLUMNS
from tests.support.explained_runs import ExplainedRuns, bump

METHODS = {"methods": ["gradcam", "guided", "rise"]}


def gathered(runs, folds=(0, 1)):
    logged = {name: FoldExplanations.of(runs.result(name, list(folds)), runs.fetch) for name in ("ncnn", "vgg16")}
    return logged, {name: look(runs.plan, own) for name, own in logged.items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    made = ExplainedRuns(tmp_path_factory.mktemp("runs"), settings=METHODS)
    for fold in (0, 1):
        made.write("ncnn", fold, wrong=(1,), truth={"overall": 0.25, "overall_random": 0.0, "overall_gaussian": 0.5})
        made.write("vgg16", fold, corners=("b",), shift=100)
    return made


def test_there_is_a_row_an_image_backbone_and_method_in_the_order_of_the_folds(runs):
    logged, looks = gathered(runs)
    rows, n_explained = gallery_rows(runs.plan, logged, looks)
    assert n_explained == 30
    assert len(rows) == 30 * 2 * 3
    assert set(COLUMNS) <= set(rows.columns)
    fold_of = rows.drop_duplicates("image")["fold"].tolist()
    assert fold_of == sorted(fold_of)
    assert list(dict.fromkeys(rows["method"])) == ["Grad-CAM", "Guided back-propagation (fails sanity checks)", "RISE"]
    told = rows[(rows["backbone"] == "ncnn") & (rows["image"] == "001.png")].iloc[0]
    assert (told["true"], told["predicted"], told["right"]) == (("b",), ("c",), False)
    assert told["probability"] == pytest.approx(0.6 + 0.3 / 30)


def test_each_row_has_its_own_map(runs):
    logged, looks = gathered(runs)
    rows, _ = gallery_rows(runs.plan, logged, looks)
    heat = maps_of(rows, logged)
    for row in np.random.default_rng(0).permutation(len(rows))[:40]:
        told = rows.iloc[row]
        number = int(told["image"][:3])
        corner, shift = told["backbone"] == "vgg16" and told["true"] == ("b",), 100 * (told["backbone"] == "vgg16")
        expected = bump(corner, number + shift)
        if told["name"] == "rise":
            expected = expected - expected.min()
        highest = np.percentile(expected, 99) if told["name"] == "guided" else expected.max()
        np.testing.assert_allclose(heat(int(row)), np.minimum(expected / highest, 1), atol=0.002)


def test_measured_maps_have_their_faithfulness_beside_the_controls_and_doubted_ones_a_warning(runs):
    logged, looks = gathered(runs)
    rows, _ = gallery_rows(runs.plan, logged, looks)
    notes = rows[rows["backbone"] == "ncnn"]["note"]
    assert notes.str.match(r"doubtful \(see report\); faithfulness 0\.2\d \(random -?0\.0\d, centred 0\.\d\d\)$").all()
    assert rows[rows["backbone"] == "vgg16"]["note"].isna().all()


def test_too_many_images_are_thinned_out_and_the_page_says_so(runs, monkeypatch):
    monkeypatch.setattr(module, "MOST_IMAGES", 9)
    logged, looks = gathered(runs)
    rows, n_explained = gallery_rows(runs.plan, logged, looks)
    assert (rows["image"].nunique(), n_explained) == (9, 30)
    assert rows.drop_duplicates("image")["true"].value_counts().tolist() == [3, 3, 3]
    assert len(rows) == 9 * 6
    page = runs.folder / "explanations.html"
    assert write_gallery(page, runs.plan, logged, looks)
    assert "9 of 30 explained images are shown" in page.read_text(encoding="utf-8")


def test_the_first_repeat_is_shown(tmp_path):
    runs = ExplainedRuns(tmp_path, n_repeats=2)
    for fold in range(4):
        for name in ("ncnn", "vgg16"):
            runs.write(name, fold, shift=fold)
    logged, looks = gathered(runs, range(4))
    rows, _ = gallery_rows(runs.plan, logged, looks)
    assert len(rows) == 60
    assert set(rows["fold"]) == {0, 1}


def test_with_several_labels_the_note_names_the_one_that_is_explained(tmp_path):
    runs = ExplainedRuns(tmp_path, classes=("rust", "scab"), kind="multilabel", n_folds=3)
    for name in ("ncnn", "vgg16"):
        runs.write(name, 0)
    logged, looks = gathered(runs, (0,))
    rows, _ = gallery_rows(runs.plan, logged, looks)
    assert set(rows["true"]) == {("rust",), ("scab",)}
    assert rows["note"].tolist() == [f"for {label}" for (label,) in rows["true"]]
    assert (rows["probability"] == 0.9).all()


def test_no_maps_give_no_page(tmp_path):
    runs = ExplainedRuns(tmp_path)
    logged = {"ncnn": FoldExplanations({}, runs.fetch)}
    assert not write_gallery(tmp_path / "page.html", runs.plan, logged, {"ncnn": Looks()})
    assert not (tmp_path / "page.html").exists()
