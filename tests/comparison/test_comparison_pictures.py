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
from tasks.evaluation.outputs import decide
from tasks.evaluation.tables import predictions_table
from tasks.explanation import fold_pictures
from tasks.explanation.predictions import predict_and_explain

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
    found = predict_and_explain(
        lambda batch: outputs[batch],
        lambda batch, _: (outputs[batch], heats[batch]),
        ROWS,
        ROWS,
        kind=kind,
        n_classes=2,
        thresholds=thresholds,
    )
    y_pred = decide(found.probabilities, kind, thresholds)
    fold_pictures.write_fold_pictures(
        folder / "explanations", manifest, plan.experiment, found, y_pred, fold=fold, title="t"
    )
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


@pytest.mark.parametrize("kind", KINDS)
def test_a_backbones_sheet_shows_what_the_first_repeats_fold_runs_showed(plan, tmp_path, monkeypatch, kind):
    made = plan(kind)
    seen = []
    draw = fold_pictures.contact_sheet
    monkeypatch.setattr(fold_pictures, "contact_sheet", lambda rows, **more: seen.append(rows) or draw(rows, **more))
    for name in ("run0", "run3"):
        (tmp_path / name).mkdir()
    fold_run(tmp_path / "run3", made, 3, 1 - OUTPUTS, [0.1, 0.2])
    fold_run(tmp_path / "run0", made, 0, OUTPUTS, [0.5, 0.75])
    finished = tuple(SimpleNamespace(fold=fold, run_id=f"run{fold}") for fold in (3, 0))
    result = SimpleNamespace(finished=finished)

    def fetch(run, name):
        return tmp_path / run / name

    rows = chosen_rows(made, result, fetch)
    for row, expected in zip(rows, seen[1], strict=True):
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
