from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.comparison.looks import pictures, shown_rows
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.looking import look
from tasks.comparison.looks.pictures import (
    chosen_rows,
    write_backbone_sheets,
    write_comparison_sheet,
    write_mean_maps,
    write_shared_mistakes,
)
from tasks.config import Experiment
from tasks.dataset.manifest import Manifest
from tasks.dataset.pixels.images import pixel_digest
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import class_probabilities, decide, explained_class, right
from tasks.evaluation.tables import predictions_table
from tasks.explanation.fold_pictures import fold_sheet_rows, write_method_overlays
from tasks.explanation.map_files import StoredMaps, write_maps
from tasks.explanation.predictions import Predicted
from tests.support.explained_runs import ExplainedRuns

KINDS = {
    "multiclass": (Targets(("a", "b")), ["a", "b", "a"]),
    "ordinal": (Targets(("0", "1"), "ordinal"), ["1", "1", "0"]),
    "multilabel": (Targets(("rust", "scab"), "multilabel"), ["rust scab", "", "scab"]),
}
OUTPUTS = np.array([[0.9, 0.7], [0.4, 0.1], [1.0, 0.8]])
ROWS = np.arange(3)


@pytest.fixture
def plan(tmp_path):
    """Three pictures with labels of a kind, masked and padded."""

    def make(kind):
        targets, labels = KINDS[kind]
        (tmp_path / "images").mkdir()
        paths = [f"{number}.png" for number in ROWS]
        pictures = [np.full((20, 30, 3), 60 * (number + 1), np.uint8) for number in ROWS]
        for path, picture in zip(paths, pictures, strict=True):
            Image.fromarray(picture).save(tmp_path / "images" / path)
        digests = [pixel_digest(picture) for picture in pictures]
        table = pd.DataFrame({"path": paths, "label": labels, "sha256": digests}).assign(group=None, split=None)
        manifest = Manifest(table, tmp_path / "images", targets, pd.DataFrame())
        steps = {"resize": "pad", "mask": "circle"}
        data = {"path": tmp_path, "labels": {"kind": kind}, "preprocessing": steps}
        return SimpleNamespace(manifest=manifest, experiment=Experiment(name="study", data=data, backbones=["ncnn"]))

    return make


def fold_run(folder, plan, fold, outputs, thresholds):
    """Leave a fold run's pictures and table in a folder."""
    manifest, kind = plan.manifest, plan.manifest.targets.kind
    heats = np.random.default_rng(fold).random((3, 4, 4)).astype(np.float32)
    heats[1] = 0
    found = Predicted(ROWS, class_probabilities(outputs, kind), ROWS[:0], heats[:0])
    y_pred = decide(found.probabilities, kind, thresholds)
    classes = explained_class(found.probabilities, kind, thresholds)
    stored = StoredMaps("gradcam", "conv", manifest.table["path"].to_numpy(dtype=str), classes, heats)
    good = right(manifest.y, y_pred)
    write_maps(folder / "explanations" / "gradcam" / "maps.npz", stored)
    write_method_overlays(folder / "explanations", manifest, plan.experiment, stored, ROWS, good)
    seen = fold_sheet_rows(manifest, plan.experiment, found, y_pred, ROWS, stored, ROWS, fold, 16)
    table = manifest.table
    predictions_table(
        table["path"].tolist(),
        table["sha256"].tolist(),
        fold,
        manifest.y,
        found.probabilities,
        manifest.targets,
        y_pred=y_pred,
        thresholds=np.array(thresholds) if kind == "multilabel" else None,
    ).to_parquet(folder / "predictions.parquet")
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_a_backbones_sheet_shows_what_the_first_repeats_fold_runs_showed(plan, tmp_path, kind):
    made = plan(kind)
    for name in ("run0", "run3"):
        (tmp_path / name).mkdir()
    fold_run(tmp_path / "run3", made, 3, 1 - OUTPUTS, [0.1, 0.2])
    seen = fold_run(tmp_path / "run0", made, 0, OUTPUTS, [0.5, 0.75])
    finished = tuple(SimpleNamespace(fold=fold, run_id=f"run{fold}") for fold in (3, 0))
    result = SimpleNamespace(name="ncnn", finished=finished)

    def fetch(run, name):
        return tmp_path / run / name

    rows = chosen_rows(made, result, fetch)
    for row, expected in zip(rows, seen, strict=True):
        for field in ("name", "true", "predicted", "probability", "fold", "explained", "right", "remark"):
            assert getattr(row, field) == getattr(expected, field), field
        np.testing.assert_array_equal(row.image, expected.image)
        np.testing.assert_array_equal(row.overlay, expected.overlay)
    assert {row.right for row in rows} == {True, False}
    assert [row.remark for row in rows] == ["", "shows nothing", ""]
    sheet = tmp_path / "sheet.png"
    assert write_comparison_sheet(made, {"ncnn": result}, ["ncnn"], fetch, sheet)
    assert Image.open(sheet).size[1] > 3 * 152


def test_a_backbone_without_a_finished_fold_run_has_no_rows(plan):
    rows = chosen_rows(plan("multiclass"), SimpleNamespace(finished=()), lambda *_: pytest.fail("nothing to fetch"))
    assert rows == [None] * 3


@pytest.fixture
def drawn(monkeypatch):
    """The rows that each kind of sheet was drawn from."""
    seen = {}

    def spy(name, draw):
        def spied(rows, **more):
            seen[name] = rows, more
            return draw(rows, **more)

        monkeypatch.setattr(pictures, name, spied)

    for name in ("right_sheet", "wrong_sheet", "class_sheet", "contact_sheet"):
        spy(name, getattr(pictures, name))
    return seen


def sheets(runs, folds=(0, 1)):
    result = runs.result("ncnn", list(folds))
    means = look(runs.plan, FoldExplanations.of(result, runs.fetch)).means
    return write_backbone_sheets(runs.plan, result, "N-CNN", means, runs.fetch, runs.folder)


def test_a_backbone_has_sheets_of_right_and_wrong_of_classes_and_of_mean_maps(tmp_path, drawn, monkeypatch):
    runs, opened = ExplainedRuns(tmp_path, settings={"contact_sheet_images": 4}), []
    for fold in (0, 1):
        runs.write("ncnn", fold, wrong=(1, 4, 9, 16, 25, 28))
    view = shown_rows.opened
    monkeypatch.setattr(shown_rows, "opened", lambda *asked: opened.append(asked[1]) or view(*asked))
    files = sheets(runs)
    assert [file.name for file in files] == [
        "contact_sheet.png",
        "right.png",
        "wrong.png",
        "classes.png",
        "mean_maps.png",
    ]
    for file in files:
        with Image.open(file) as picture:
            assert min(picture.size) > 100
    rows, told = drawn["wrong_sheet"]
    assert [row.name for row in rows] == ["028.png", "025.png", "016.png", "009.png"]
    assert (told["n_wrong"], told["n_images"]) == (6, 30)
    rows, told = drawn["right_sheet"]
    assert all(row.right for row in rows)
    assert told["n_right"] == 24
    assert len({row.true for row in rows}) == 3
    sections, _ = drawn["class_sheet"]
    assert [(label, [row.name for row in own]) for label, own in sections.items()] == [
        ("a", ["000.png"]),
        ("b", ["001.png"]),
        ("c", ["002.png"]),
    ]
    assert sections["a"][0].seen.shape == (120, 120, 3)
    assert len(opened) == 3 * 4 + 3


def test_the_sheets_show_the_fold_runs_own_overlays_by_the_first_method(tmp_path, drawn):
    runs = ExplainedRuns(tmp_path, settings={"methods": ["layercam", "gradcam"]})
    for fold in (0, 1):
        runs.write("ncnn", fold)
    sheets(runs)
    rows, told = drawn["contact_sheet"]
    assert told["column_titles"] == ("Original", "LayerCAM")
    for row in rows:
        number = int(row.name[:3])
        path = runs.fetch(f"ncnn-{number % 2}", f"explanations/layercam/right/{runs.overlay_name(number)}")
        np.testing.assert_array_equal(row.overlay, np.asarray(Image.open(path)))


def test_without_mistakes_or_explanations_there_are_no_such_sheets(tmp_path):
    runs = ExplainedRuns(tmp_path)
    runs.write("ncnn", 0)
    assert "wrong.png" not in {file.name for file in sheets(runs, (0,))}
    for path in runs.fetch("ncnn-0", "explanations").rglob("*.*"):
        path.unlink()
    assert sheets(runs, (0,)) == []
    assert sheets(runs, ()) == []
    assert not write_mean_maps(runs.plan, {}, tmp_path / "mean_maps.png")


def test_the_mean_maps_of_all_backbones_are_one_figure(tmp_path):
    runs = ExplainedRuns(tmp_path)
    runs.write("ncnn", 0)
    own = look(runs.plan, FoldExplanations.of(runs.result("ncnn", [0]), runs.fetch)).means["gradcam"]
    assert write_mean_maps(runs.plan, {"ncnn": own, "vgg16": own}, tmp_path / "two.png")
    assert write_mean_maps(runs.plan, {"ncnn": own}, tmp_path / "one.png")
    assert Image.open(tmp_path / "two.png").width > Image.open(tmp_path / "one.png").width


def test_images_that_most_backbones_get_wrong_stand_side_by_side(tmp_path, monkeypatch):
    runs, seen = ExplainedRuns(tmp_path), []
    runs.write("ncnn", 0, wrong=(4, 10, 12))
    runs.write("ncnn", 1, wrong=(5,))
    runs.write("vgg16", 0, wrong=(4, 12, 14))
    draw = pictures.shared_mistakes_sheet
    monkeypatch.setattr(
        pictures, "shared_mistakes_sheet", lambda *given, **more: seen.append((given, more)) or draw(*given, **more)
    )
    results = {"ncnn": runs.result("ncnn", [0, 1]), "vgg16": runs.result("vgg16", [0])}
    path = tmp_path / "shared.png"
    assert write_shared_mistakes(runs.plan, results, ["vgg16", "ncnn"], runs.fetch, path)
    (images, columns), more = seen[0]
    assert [row.name for row in columns["ncnn"]] == ["012.png", "005.png", "004.png"]
    assert [row and row.name for row in columns["vgg16"]] == ["012.png", None, "004.png"]
    assert len(images) == 3
    assert (more["n_shared"], more["n_images"]) == (3, 30)
    assert not write_shared_mistakes(runs.plan, results, ["ncnn"], runs.fetch, tmp_path / "one.png")
