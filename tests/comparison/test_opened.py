"""A comparison tells what the fold runs found, whatever has become of the image files since."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from tasks.comparison.errors.mistake_pictures import mistakes_table
from tasks.comparison.errors.section import errors_section
from tasks.comparison.errors.suspects_section import suspect_labels_section
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.gallery_rows import write_gallery
from tasks.comparison.looks.looking import look
from tasks.comparison.looks.opened import GREY, gone_told, opened
from tasks.comparison.looks.pictures import write_backbone_sheets
from tasks.config import Data
from tasks.dataset.manifest import read_manifest
from tests.support.explained_runs import ExplainedRuns
from tests.support.images import write_classes
from tests.support.made_evidence import made_evidence
from tests.support.pictured_evidence import pictured


def test_an_image_that_is_gone_is_grey_and_as_large_as_it_was(tmp_path):
    plan = ExplainedRuns(tmp_path).plan
    assert (opened(plan, "007.png") == 7).all()
    assert gone_told(plan) == []
    (plan.manifest.root / "007.png").unlink()
    assert opened(plan, "007.png").shape == (20, 30, 3)
    assert (opened(plan, "007.png") == GREY).all()
    told = gone_told(plan)
    assert len(told) == 1
    assert "file of 1 image" in told[0]
    assert "007.png" in told[0]
    (plan.manifest.root / "008.png").write_bytes(b"no image any more")
    assert np.unique(opened(plan, "008.png")).tolist() == [GREY]


def test_an_image_that_is_another_one_now_is_grey_and_told(tmp_path):
    images = write_classes(tmp_path / "images", {"a": 3, "b": 3})
    manifest = read_manifest(Data(path=images))
    plan = SimpleNamespace(manifest=manifest)
    for name in ("a/001.png", "b/002.png"):
        (images / name).touch()
    assert gone_told(plan) == []
    (images / "a/001.png").write_bytes((images / "b/000.png").read_bytes())
    assert np.unique(opened(plan, "a/001.png")).tolist() == [GREY]
    [told] = gone_told(plan)
    assert told.startswith("1 image changed while the experiment ran: a/001.png.")


def test_rows_of_an_array_are_gone_with_its_file(tmp_path):
    plan = ExplainedRuns(tmp_path).plan
    plan.manifest.table["path"] = [f"x.npy#{row:02d}" for row in range(30)]
    assert "30 images" in gone_told(plan)[0]
    np.save(plan.manifest.root / "x.npy", np.zeros((30, 20, 30, 3), np.uint8))
    assert gone_told(plan) == []


def test_sheets_tables_and_the_gallery_are_made_without_the_images(tmp_path):
    runs = ExplainedRuns(tmp_path)
    for fold in (0, 1):
        runs.write("ncnn", fold, wrong=(3, 20))
    runs.manifest.root.rename(tmp_path / "away")
    result = runs.result("ncnn", [0, 1])
    logged = FoldExplanations.of(result, runs.fetch)
    looks = look(runs.plan, logged)
    files = write_backbone_sheets(runs.plan, result, "N-CNN", looks.means, runs.fetch, tmp_path)
    assert {"contact_sheet.png", "right.png", "wrong.png", "classes.png"} <= {file.name for file in files}
    assert len(mistakes_table(runs.plan, result, runs.fetch).columns["picture"]) == 2
    assert write_gallery(tmp_path / "gallery.html", runs.plan, {"ncnn": logged}, {"ncnn": looks})


def test_mistakes_and_suspect_labels_are_told_without_the_images(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 1.0, "ncnn": 1.0}, n=150, group_size=3))
    whole = errors_section(evidence), suspect_labels_section(evidence)
    for path in evidence.plan.manifest.table["path"]:
        (evidence.plan.manifest.root / path).unlink()
    for before, made in zip(whole, (errors_section(evidence), suspect_labels_section(evidence)), strict=True):
        assert made.sentences == before.sentences
        assert len(made.pictures) == len(before.pictures)
