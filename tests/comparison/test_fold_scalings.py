from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.calibration.fold_scalings import (
    fold_scalings,
    scaled_holdout,
    scaled_out_of_fold,
    scaled_table,
    validation_tables,
)
from tasks.comparison.pooling import predictions_of
from tasks.evaluation.outputs import decide, scaled
from tasks.evaluation.scaling import Scaling
from tasks.evaluation.scaling_fit import fit_scaling
from tests.support.made_evidence import SPLITS, made_evidence

KINDS = ("multiclass", "multilabel", "ordinal")


@pytest.mark.parametrize("kind", KINDS)
def test_each_folds_scaling_is_that_of_its_validation_images_and_of_no_others(tmp_path, kind):
    evidence = made_evidence(tmp_path, {"ncnn": 0.5}, kind=kind)
    found = fold_scalings(evidence, "ncnn")
    assert sorted(found) == list(range(SPLITS))
    for fold, rows in enumerate(evidence.plan.rows):
        paths = evidence.plan.manifest.table["path"].iloc[rows.validation].tolist()
        table = pd.read_parquet(tmp_path / f"ncnn-{fold}" / "validation_predictions.parquet")
        assert table["path"].tolist() == paths
        given = predictions_of(table, evidence.plan.manifest.targets)
        assert found[fold] == fit_scaling(given.y_true, given.y_prob, kind)
    # What is scored afterwards can be anything.
    for fold in range(SPLITS):
        (tmp_path / f"ncnn-{fold}" / "predictions.parquet").unlink()
    assert fold_scalings(evidence, "ncnn") == found


def test_planted_temperatures_are_found(tmp_path):
    evidence = made_evidence(tmp_path, {"vgg16": 0.5, "ncnn": 2.0}, n=1500, n_validation=900, noise=0)
    for name, expected in {"vgg16": 2.0, "ncnn": 0.5}.items():
        temperatures = [own.temperatures[0] for own in fold_scalings(evidence, name).values()]
        np.testing.assert_allclose(temperatures, expected, rtol=0.15)


def test_nothing_is_scaled_where_that_is_not_wanted_or_not_possible(tmp_path):
    made = {folder: tmp_path / folder for folder in "abc"}
    for folder in made.values():
        folder.mkdir()
    assert fold_scalings(made_evidence(made["a"], {"ncnn": 1}, calibration="none"), "ncnn") == {}
    evidence = made_evidence(made["b"], {"ncnn": 1, "vgg16": 1}, without_validation=["vgg16"])
    assert fold_scalings(evidence, "vgg16") == {}
    assert len(fold_scalings(evidence, "ncnn")) == SPLITS
    pd.testing.assert_frame_equal(scaled_out_of_fold(evidence, "vgg16", {}), evidence.tables["vgg16"])

    def remote(run, name):
        if name.startswith("validation"):
            raise FileNotFoundError(run)
        return made["c"] / run / name

    # One fold run without the table is enough: half of a pool would be scaled.
    elsewhere = replace(made_evidence(made["c"], {"ncnn": 1}), fetch=remote)
    assert validation_tables(elsewhere, "ncnn") == {}
    (made["b"] / "ncnn-1" / "validation_predictions.parquet").unlink()
    assert fold_scalings(evidence, "ncnn") == {}


def test_a_fold_that_another_backbone_lacks_has_its_scaling_too(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 1, "vgg16": 1}, missing={"vgg16": [1]}, n_holdout=10)
    scalings = fold_scalings(evidence, "ncnn")
    assert sorted(scalings) == [0, 1, 2]
    assert sorted(fold_scalings(evidence, "vgg16")) == [0, 2]
    assert set(scaled_out_of_fold(evidence, "ncnn", scalings)["fold"]) == {0, 2}
    assert scaled_holdout(evidence, "ncnn", scalings) is not None
    assert scaled_holdout(evidence, "vgg16", fold_scalings(evidence, "vgg16")) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["temperature", "vector"])
@pytest.mark.parametrize("n_repeats", [1, 2])
def test_every_image_is_scaled_by_the_folds_that_it_was_a_test_image_of(tmp_path, kind, method, n_repeats):
    evidence = made_evidence(tmp_path, {"ncnn": 0.5}, kind=kind, n=60, n_repeats=n_repeats, calibration=method)
    scalings = fold_scalings(evidence, "ncnn")
    table = scaled_out_of_fold(evidence, "ncnn", scalings)
    assert table["path"].tolist() == evidence.tables["ncnn"]["path"].tolist()
    assert table.columns.tolist() == evidence.tables["ncnn"].columns.tolist()
    names = [f"prob/{name}" for name in evidence.plan.manifest.classes]
    runs = {fold: pd.read_parquet(tmp_path / f"ncnn-{fold}" / "predictions.parquet") for fold in scalings}
    for row in table.sample(12, random_state=0).to_dict("records"):
        own = []
        for fold, run in runs.items():
            p = run.loc[run["path"] == row["path"], names].to_numpy()
            if len(p):
                own.append(scaled(p, kind, scalings[fold].weights, scalings[fold].biases)[0])
        assert len(own) == n_repeats
        np.testing.assert_allclose([row[name] for name in names], np.mean(own, axis=0), atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_temperature_changes_no_decision(tmp_path, kind):
    evidence = made_evidence(tmp_path, {"ncnn": 0.4}, kind=kind)
    table = scaled_out_of_fold(evidence, "ncnn", fold_scalings(evidence, "ncnn"))
    assert table["predicted"].tolist() == evidence.tables["ncnn"]["predicted"].tolist()
    assert not np.allclose(table["prob/cat"], evidence.tables["ncnn"]["prob/cat"])


def test_what_vector_scaling_decides_is_decided_by_the_scaled_probabilities(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 1.0})
    table, targets = evidence.tables["ncnn"], evidence.plan.manifest.targets
    towards_owl = scaled_table(table, Scaling("multiclass", "vector", (1.0,) * 3, (0.0, 0.0, 3.0)), targets)
    p = towards_owl[["prob/cat", "prob/dog", "prob/owl"]].to_numpy()
    assert towards_owl["predicted"].tolist() == targets.texts(decide(p, "multiclass"))
    assert (towards_owl["predicted"] == "owl").sum() > (table["predicted"] == "owl").sum()


def test_the_holdouts_probabilities_are_the_mean_of_the_folds_scaled_ones(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 0.5}, n_holdout=12)
    scalings = fold_scalings(evidence, "ncnn")
    table = scaled_holdout(evidence, "ncnn", scalings)
    names = [f"prob/{name}" for name in evidence.plan.manifest.classes]
    by_fold = [pd.read_parquet(tmp_path / f"ncnn-{fold}" / "holdout_predictions.parquet") for fold in scalings]
    expected = np.mean([scalings[f].apply(own[names].to_numpy()) for f, own in enumerate(by_fold)], axis=0)
    np.testing.assert_allclose(table[names].to_numpy(), expected)
