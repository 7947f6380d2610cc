"""The main job, exported from its server: study E's tree and tables agree with what was logged."""

from __future__ import annotations

import pandas as pd
import pytest

from flows.export import export
from tests.support.readback import artifact, table, tree


@pytest.fixture(scope="module")
def exported(job, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "out"
    with job.studio.inside():
        return export("main job", out)


@pytest.mark.parametrize("backbone", ["ncnn", "vgg16"])
def test_the_table_has_every_out_of_fold_prediction(exported, job, runs, backbone):
    oof = table(job.client, runs.backbones[backbone], "oof_predictions.parquet")
    rows = pd.read_csv(exported.out / f"{backbone}.csv", sep=";", decimal=",").set_index("Image").loc[oof["path"]]
    assert rows["Pred"].tolist() == oof["predicted"].tolist()
    assert rows["Class"].tolist() == oof["true"].tolist()
    assert rows["Fold"].tolist() == oof["fold"].tolist()
    assert exported.backbones[backbone].missing_folds == []
    assert exported.warnings == []


@pytest.mark.parametrize("backbone", ["ncnn", "vgg16"])
def test_every_logged_overlay_stands_under_its_fold_and_its_side(exported, job, runs, backbone):
    for fold in range(3):
        run = runs.folds[backbone, fold]
        for side in ("right", "wrong"):
            logged = [artifact(job.client, run, name) for name in tree(job.client, run, f"explanations/gradcam/{side}")]
            found = (exported.out / backbone / f"Fold{fold}" / side.title()).iterdir()
            assert sorted(file.read_bytes() for file in found) == sorted(file.read_bytes() for file in logged)
    pictures = [file for file in (exported.out / backbone / "All").rglob("*") if file.is_file()]
    assert len(pictures) == exported.backbones[backbone].overlays == exported.backbones[backbone].predictions


def test_the_backbones_run_says_which_fold_runs_its_figures_stand_on(job, runs):
    for name, run in runs.backbones.items():
        rows = pd.read_csv(artifact(job.client, run, "fold_runs.csv"))
        assert rows["run_id"].tolist() == [fold.run_id for fold in job.result.backbones[name].folds]
        assert set(rows["status"]) == {"completed"}
