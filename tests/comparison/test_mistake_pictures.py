from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.errors.mistake_pictures import MOST, NOT_EXPLAINED, SIDE, mistakes_table
from tests.support.explained_runs import ExplainedRuns


@pytest.fixture
def written(tmp_path):
    """Two fold runs of which some images are wrong; gives their experiment."""

    def write(wrong, **more):
        runs = ExplainedRuns(tmp_path, **more)
        for fold in range(runs.n_folds * runs.n_repeats):
            runs.write("ncnn", fold, wrong=wrong)
        return runs

    return write


def table_of(runs, folds=(0, 1)):
    return mistakes_table(runs.plan, runs.result("ncnn", list(folds)), runs.fetch)


def test_the_surest_mistakes_come_first_each_with_its_picture_and_overlay(written):
    table = table_of(written((3, 20, 11)))
    columns = table.columns
    assert columns["image"] == ["020.png", "011.png", "003.png"]
    assert columns["confidence in %"] == sorted(columns["confidence in %"], reverse=True)
    assert all(said != true for said, true in zip(columns["predicted"], columns["true"], strict=True))
    assert columns["fold"] == [0, 1, 1]
    for shown, overlay in zip(columns["picture"], columns["Grad-CAM"], strict=True):
        assert max(shown.size) == max(overlay.size) == SIDE
    greys = [int(np.asarray(shown.convert("L")).mean()) for shown in columns["picture"]]
    assert greys == pytest.approx([20, 11, 3], abs=1)


def test_there_are_no_more_than_a_page_can_show(written):
    table = table_of(written(tuple(range(60)), n_images=60))
    assert len(table.columns["image"]) == MOST


def test_without_mistakes_or_without_finished_folds_there_is_no_table(written):
    runs = written(())
    assert table_of(runs) is None
    assert table_of(runs, folds=()) is None


def test_an_image_that_was_not_explained_is_shown_without_overlay(written):
    runs = written((4,))
    overlays = runs.fetch("ncnn-0", "explanations/gradcam/wrong")
    (overlays / runs.overlay_name(4)).unlink()
    columns = table_of(runs).columns
    assert columns["Grad-CAM"] == [NOT_EXPLAINED]
    assert max(columns["picture"][0].size) == SIDE


def test_with_repeated_folds_an_image_stands_there_once(written):
    columns = table_of(written((5, 6), n_repeats=2), folds=range(4)).columns
    assert sorted(columns["image"]) == ["005.png", "006.png"]


def test_with_several_labels_all_of_them_are_named(written):
    runs = written((), kind="multilabel", classes=("rust", "scab"))
    path = runs.fetch("ncnn-0", "predictions.parquet")
    table = pd.read_parquet(path)
    table.loc[0, "predicted"] = "" if table.loc[0, "predicted"] else "rust"
    table.to_parquet(path)
    columns = table_of(runs).columns
    assert columns["image"] == [table.loc[0, "path"]]
    assert columns["true"] == [table.loc[0, "true"]]
