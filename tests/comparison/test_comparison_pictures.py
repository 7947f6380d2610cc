from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.comparison.pictures import chosen_rows, write_comparison_sheet
from tasks.config import Experiment
from tasks.dataset.manifest import Manifest
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import class_probabilities, decide, explained_class, right
from tasks.evaluation.tables import predictions_table
from tasks.explanation.fold_pictures import fold_sheet_rows, write_method_overlays
from tasks.explanation.map_files import StoredMaps
from tasks.explanation.predictions import Predicted

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
        for number, path in enumerate(paths):
            Image.fromarray(np.full((20, 30, 3), 60 * (number + 1), np.uint8)).save(tmp_path / "images" / path)
        table = pd.DataFrame({"path": paths, "label": labels, "sha256": paths}).assign(group=None, split=None)
        manifest = Manifest(table, tmp_path / "images", targets, pd.DataFrame())
        steps = {"resize": "pad", "mask": "circle"}
        data = {"path": tmp_path, "labels": {"kind": kind}, "preprocessing": steps}
        return SimpleNamespace(manifest=manifest, experiment=Experiment(name="study", data=data, backbones=["ncnn"]))

    return make


def fold_run(folder, plan, fold, outputs, thresholds):
    """Leave a fold run's pictures and table in a folder."""
    manifest, kind = plan.manifest, plan.manifest.targets.kind
    heats = np.random.default_rng(fold).random((3, 4, 4)).astype(np.float32)
    found = Predicted(ROWS, class_probabilities(outputs, kind), ROWS[:0], heats[:0])
    y_pred = decide(found.probabilities, kind, thresholds)
    classes = explained_class(found.probabilities, kind, thresholds)
    stored = StoredMaps("gradcam", "conv", manifest.table["path"].to_numpy(dtype=str), classes, heats)
    good = right(manifest.y, y_pred)
    write_method_overlays(folder / "explanations", manifest, plan.experiment, stored, ROWS, good)
    seen = fold_sheet_rows(manifest, plan.experiment, found, y_pred, ROWS, stored, ROWS, fold)
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
    result = SimpleNamespace(finished=finished)

    def fetch(run, name):
        return tmp_path / run / name

    rows = chosen_rows(made, result, fetch)
    for row, expected in zip(rows, seen, strict=True):
        for field in ("name", "true", "predicted", "probability", "fold", "explained", "right"):
            assert getattr(row, field) == getattr(expected, field), field
        np.testing.assert_array_equal(row.image, expected.image)
        np.testing.assert_array_equal(row.overlay, expected.overlay)
    assert {row.right for row in rows} == {True, False}
    sheet = tmp_path / "sheet.png"
    assert write_comparison_sheet(made, {"ncnn": result}, ["ncnn"], fetch, sheet)
    assert Image.open(sheet).size[1] > 3 * 152


def test_a_backbone_without_a_finished_fold_run_has_no_rows(plan):
    rows = chosen_rows(plan("multiclass"), SimpleNamespace(finished=()), lambda *_: pytest.fail("nothing to fetch"))
    assert rows == [None] * 3
