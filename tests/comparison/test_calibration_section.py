from __future__ import annotations

import io
import math

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.calibration.calibrated import _surprise, calibrate, mean_temperature
from tasks.comparison.calibration.section import calibration_section
from tasks.comparison.calibration.told import sureness, verdict
from tasks.comparison.pooling import predictions_of
from tasks.evaluation.checks import checked_predictions
from tasks.evaluation.metrics import score
from tasks.evaluation.resampling import Estimate
from tasks.evaluation.scaling import Scaling
from tasks.evaluation.style import save
from tests.support.made_evidence import made_evidence

pytestmark = pytest.mark.filterwarnings("error")

TOLD = (
    "calibration/ece_width", "calibration/ece_mass", "calibration/excess_confidence", "calibration/brier_reliability",
    "calibration/brier_resolution", "calibration/brier_uncertainty",
)  # fmt: skip
OF_SCALED = (
    "calibration/temperature", "calibrated/log_loss", "calibrated/brier", "calibrated/ece_width", "calibrated/ece_mass"
)  # fmt: skip


def scored(table, evidence):
    targets = evidence.plan.manifest.targets
    found = predictions_of(table, targets)
    return score(found.y_true, found.y_prob, targets.classes, kind=targets.kind, y_pred=found.y_pred)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
def test_the_figures_are_those_of_the_pooled_predictions(tmp_path, kind):
    evidence = made_evidence(tmp_path, {"vgg16": 0.4, "ncnn": 1.0}, kind=kind, n=150)
    section = calibration_section(evidence)
    for name, values in section.backbone_metrics.items():
        assert tuple(values) == (*TOLD, *OF_SCALED)
        before, after = scored(evidence.tables[name], evidence), scored(calibrate(evidence, name).table, evidence)
        assert values["calibration/ece_width"] == pytest.approx(before["ece"])
        assert values["calibrated/ece_width"] == pytest.approx(after["ece"])
        for metric in ("log_loss", "brier"):
            assert values[f"calibrated/{metric}"] == pytest.approx(after[metric])
        row = section.tables[1].frame.set_index("backbone").loc[name]
        assert row["log_loss"] == pytest.approx(after["log_loss"] - before["log_loss"])
        assert row["log_loss_low"] < row["log_loss"] < row["log_loss_high"]
        parts = section.tables[0].frame.set_index("backbone").loc[name].iloc[0]
        spread = parts["brier_reliability"] - parts["brier_resolution"] + parts["brier_uncertainty"]
        assert parts["brier"] == pytest.approx(spread + parts["brier_within_bins"])
        assert parts["excess"] == pytest.approx(parts["confidence"] - parts["right"])


def test_too_sure_and_not_sure_enough_are_told_apart_and_scaling_mends_both(tmp_path):
    evidence = made_evidence(
        tmp_path, {"vgg16": 0.3, "ncnn": 3.0, "resnet50": 1.0}, n=900, n_validation=200, noise=0
    )  # fmt: skip
    found = {name: calibrate(evidence, name) for name in evidence.names}
    assert {name: sureness(own) for name, own in found.items()} == {
        "vgg16": "too sure", "ncnn": "not sure enough", "resnet50": "cannot be told"
    }  # fmt: skip
    for name in ("vgg16", "ncnn"):
        own = found[name]
        assert verdict(own.changes["log_loss"], own.n_groups) == "better"
        assert own.before.by_mass.value > 2 * own.before.by_mass.chance_high
        assert own.after.by_mass.value < 1.3 * own.after.by_mass.chance_high
    # Only scaling that has little to do leaves it open whether it helps.
    assert verdict(found["resnet50"].changes["log_loss"], 900) != "better"
    told = " ".join(calibration_section(evidence).sentences)
    assert "vgg16 is too sure" in told
    assert "ncnn is not sure enough" in told or "ncnn is less sure of itself than it could be" in told


def test_intervals_hold_the_truth_as_often_as_they_say(tmp_path):
    held = 0
    for seed in range(20):
        folder = tmp_path / str(seed)
        folder.mkdir()
        evidence = made_evidence(folder, {"ncnn": 1.0}, n=120, noise=0, seed=seed, calibration="none", group_size=2)
        excess = calibrate(evidence, "ncnn").before.excess
        held += excess.low <= 0 <= excess.high
    assert 17 <= held <= 20


def test_under_twenty_groups_nothing_is_claimed(tmp_path):
    evidence = made_evidence(tmp_path, {"vgg16": 0.1}, n=180, group_size=10, noise=2)
    own = calibrate(evidence, "vgg16")
    assert own.n_groups == 18
    assert own.before.excess.low > 0
    assert sureness(own) == "cannot be told"
    assert verdict(own.changes["log_loss"], own.n_groups) == "cannot be told"
    told = calibration_section(evidence).sentences
    assert "cannot be told (18 groups cannot carry a claim)" in told[0]
    assert "chance alone does more" in told[-1]


@pytest.mark.parametrize(("n_validation", "weak"), [(29, True), (30, False)])
def test_a_scaling_by_few_images_is_called_weak(tmp_path, n_validation, weak):
    told = " ".join(calibration_section(made_evidence(tmp_path, {"ncnn": 1.0}, n_validation=n_validation)).sentences)
    assert ("The scaling is weak: it was fitted on as few as 29 validation images" in told) == weak


def test_it_is_said_why_nothing_was_scaled(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    section = calibration_section(made_evidence(tmp_path / "a", {"ncnn": 1.0}, calibration="none"))
    assert "left as they are" in section.sentences[1]
    assert [table.name for table in section.tables] == ["calibration", "reliability_bins"]
    assert section.files == {}
    assert tuple(section.backbone_metrics["ncnn"]) == TOLD
    evidence = made_evidence(tmp_path / "b", {"ncnn": 1.0, "vgg16": 0.5}, without_validation=["vgg16"])
    section = calibration_section(evidence)
    assert "The fold runs of vgg16 logged no predictions for their validation images" in " ".join(section.sentences)
    assert "Scaling ncnn's probabilities" in " ".join(section.sentences)
    assert tuple(section.backbone_metrics["vgg16"]) == TOLD


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
@pytest.mark.parametrize(("method", "small"), [("temperature", False), ("vector", True), ("none", False)])
def test_every_kind_is_told_and_drawn(tmp_path, kind, method, small):
    shape = {"n": 9, "n_validation": 2} if small else {"n": 60, "group_size": 3, "n_repeats": 2}
    backbones = {"ncnn": 1.0} if small else {"vgg16": 0.3, "ncnn": 3.0}
    missing = {} if small else {"vgg16": [1]}
    evidence = made_evidence(tmp_path, backbones, kind=kind, missing=missing, calibration=method, **shape)
    section = calibration_section(evidence)
    assert all(sentence.endswith(".") and "nan" not in sentence for sentence in section.sentences)
    for table in section.tables:
        assert len(table.frame)
        assert set(table.titles) <= set(table.frame.columns)
    assert [drawing.name for drawing in section.drawings] == [f"reliability_{name}" for name in evidence.names]
    save(section.drawings[0].draw(), tmp_path / "a.png")
    assert all(math.isfinite(value) for values in section.backbone_metrics.values() for value in values.values())
    if method != "none":
        table = pd.read_parquet(io.BytesIO(section.files["tables/calibrated_predictions.parquet"]))
        assert set(table["backbone"]) == set(evidence.names)
        assert len(table) == len(evidence.names) * evidence.paired.n_images


def test_the_mean_temperature_is_the_geometric_one_of_what_has_an_effect():
    grades = Scaling("ordinal", "temperature", (1.0, 0.5, 0.5), (0.0,) * 3)
    assert mean_temperature({0: grades}) == pytest.approx(2)
    labels = {0: Scaling("multilabel", "temperature", (0.5, 2.0), (0.0, 0.0))}
    assert mean_temperature(labels) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "n_groups", "said"),
    [
        (Estimate(-0.1, -0.2, -0.01), 20, "better"),
        (Estimate(0.1, 0.01, 0.2), 20, "worse"),
        (Estimate(-0.1, -0.2, 0.01), 20, "cannot be told"),
        (Estimate(-0.1, -0.2, -0.01), 19, "cannot be told"),
        (Estimate(-0.1), 100, "cannot be told"),
        (Estimate(-0.0002, -0.0004, -0.0001), 100, "the same"),
    ],
)
def test_a_change_is_told_by_its_interval(change, n_groups, said):
    assert verdict(change, n_groups) == said


def test_the_same_seed_gives_the_same_figures(tmp_path):
    evidence = made_evidence(tmp_path, {"ncnn": 0.7}, n=60)
    first, second = (calibration_section(evidence) for _ in range(2))
    assert first.sentences == second.sentences
    for one, other in zip(first.tables, second.tables, strict=True):
        pd.testing.assert_frame_equal(one.frame, other.frame)
    assert np.isfinite(first.tables[0].frame["excess_low"]).all()


def test_a_sample_without_a_mistake_shows_neither_doubt_nor_that_scaling_helps(tmp_path):
    """With a probability of 0.97 for each of 40 decisions, three samples in ten hold no mistake."""
    evidence = made_evidence(tmp_path, {"ncnn": 1.0, "vgg16": 1.0}, n=40, classes=("a", "b"), missing={"vgg16": [0]})
    for file in tmp_path.glob("*/*predictions.parquet"):
        table = pd.read_parquet(file)
        sure = np.random.default_rng(len(table)).uniform(0.95, 0.99, len(table))
        p = np.where(table["true"] == "b", sure, 1 - sure)
        table.assign(predicted=table["true"], **{"prob/b": p, "prob/a": 1 - p}).to_parquet(file, index=False)
    own = calibrate(evidence, "ncnn")
    assert own.before.excess.high < 0
    assert own.changes["log_loss"].high < 0
    assert sureness(own) == "cannot be told"
    assert not own.beyond_chance()
    told = calibration_section(evidence).sentences
    assert any(
        line.startswith("Scaling ncnn") and "whether it helps cannot be told, since few" in line for line in told
    )
    assert "cannot be told (that many right decisions can be chance)" in told[0]
    assert not any("ncnn is less sure of itself than it could be" in line for line in told)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "ordinal"])
def test_what_is_to_be_expected_of_a_change_is_what_drawn_labels_give(kind):
    rng = np.random.default_rng(0)
    p, q = (rng.dirichlet([1, 1, 1], 60) for _ in range(2))
    found = []
    for _ in range(600):
        if kind == "multilabel":
            y = (rng.random(p.shape) < p).astype(np.int64)
        else:
            y = (p.cumsum(axis=1) < rng.random((60, 1))).sum(axis=1).clip(max=2)
        before, after = (checked_predictions(y, prob, 3, kind) for prob in (p, q))
        found.append(_surprise(before, after, kind)[0])
    assert np.mean(found) == pytest.approx(0, abs=4 / np.sqrt(600))
    assert np.std(found) == pytest.approx(1, abs=0.1)
