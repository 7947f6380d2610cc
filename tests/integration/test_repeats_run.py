"""Folds that are cut twice, run whole: every image once, by the mean over the repeats, in the record and the report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.cross_validate import cross_validate
from tests.support.images import write_classes
from tests.support.kept_workers import kept_workers
from tests.support.readback import table

COLUMNS = ["prob/blue", "prob/red"]


@pytest.fixture(scope="module")
def twice(studio):
    write_classes(studio.folder / "images", {"blue": 6, "red": 6})
    file = studio.write(
        {
            "name": "twice",
            "data": {"path": "images"},
            "folds": {"n_splits": 2, "n_repeats": 2},
            "backbones": {"ncnn": {"size": 34}},
            "training": {"epochs": 1, "batch_size": 4},
            "explanation": {"max_images": 2, "contact_sheet_images": 3, "faithfulness_images": 2},
            "runner": {"workers": 1},
        }
    )
    with studio.inside(), kept_workers():
        return cross_validate(file), cross_validate(file)


def test_every_image_is_predicted_once_by_the_mean_over_its_repeats(twice, studio):
    own = twice[0].backbones["ncnn"]
    assert [fold.fold for fold in own.folds] == [0, 1, 2, 3]
    client = studio.client
    by_fold = [table(client, client.get_run(fold.run_id), "predictions.parquet") for fold in own.folds]
    single = pd.concat(by_fold)
    assert single.groupby("path").size().eq(2).all()
    pooled = own.out_of_fold
    assert pooled["path"].is_unique
    expected = single.groupby("path")[COLUMNS].mean().loc[pooled["path"]]
    np.testing.assert_allclose(pooled[COLUMNS], expected)
    assert pooled["predicted"].tolist() == [
        COLUMNS[i].removeprefix("prob/") for i in expected.to_numpy().argmax(axis=1)
    ]
    assert set(pooled["fold"]) <= {0, 1}
    assert own.pooled["accuracy"] == (pooled["true"] == pooled["predicted"]).mean()
    logged = table(client, client.get_run(own.run_id), "oof_predictions.parquet")
    pd.testing.assert_frame_equal(logged, pooled)


def test_mean_and_interval_stand_on_the_folds_of_all_repeats(twice):
    result, own = twice[0], twice[0].backbones["ncnn"]
    assert own.summaries[result.metric].folds == [fold.metrics[result.metric] for fold in own.folds]
    assert own.summaries[result.metric].n_defined == 4


def test_the_report_says_how_often_the_folds_were_cut(twice):
    page = Path(twice[0].report).read_text(encoding="utf-8")
    assert "12 images in 2 folds, cut 2 times" in page
    assert "4 of 4" in page


def test_a_second_call_finds_all_of_it_again(twice):
    first, again = twice
    assert {fold.status for fold in again.backbones["ncnn"].folds} == {"reused"}
    pd.testing.assert_frame_equal(again.out_of_fold, first.out_of_fold)
    assert again.backbones["ncnn"].pooled == pytest.approx(first.backbones["ncnn"].pooled)
