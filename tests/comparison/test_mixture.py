"""What is registered, and its card: on drawn predictions of all kinds of labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tasks.comparison.calibration.fold_scalings import fold_scalings
from tasks.comparison.champion.card import LONGEST, CardContext, card, description
from tasks.comparison.champion.mixture import Mixture, best_mixture
from tasks.comparison.section import Section
from tasks.evaluation.outputs import scaled
from tasks.evaluation.prediction_sets import sets_of
from tests.support.made_evidence import made_evidence

KINDS = ("multiclass", "multilabel", "ordinal")


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    return made_evidence(root, {"keen": 0.5, "blunt": 0.3}, kind=request.param, n=120, n_holdout=30, n_draws=1000)


def test_the_members_say_how_the_holdout_was_predicted(made):
    """What the champion computes from its members is what the comparison says of the holdout, to rounding."""
    mixture = Mixture(made, {"keen": 2, "blunt": 1})
    kind, classes = made.plan.manifest.targets.kind, made.plan.manifest.classes
    columns = [f"prob/{name}" for name in classes]
    total = np.zeros((30, len(classes)))
    members = mixture.members()
    for member in members:
        for name, own in member["networks"].items():
            raw = pd.read_parquet(made.fetch(f"{name}-{member['fold']}", "holdout_predictions.parquet"))
            raw = raw.sort_values("path")[columns].to_numpy()
            total += own["share"] / len(members) * scaled(raw, kind, own["weights"], own["biases"])
    np.testing.assert_allclose(total, mixture.holdout.sort_values("path")[columns], atol=1e-12)
    assert [member["fold"] for member in members] == [0, 1, 2]
    assert sum(own["share"] for own in members[0]["networks"].values()) == pytest.approx(1)


def test_thresholds_are_those_of_the_scaled_probabilities(made):
    mixture = Mixture(made, {"keen": 1})
    if made.plan.manifest.targets.kind != "multilabel":
        assert mixture.thresholds == []
        return
    scalings = fold_scalings(made, "keen")
    expected = np.mean([own.apply_to_thresholds(np.full(3, 0.4)) for own in scalings.values()], axis=0)
    np.testing.assert_allclose(mixture.thresholds, expected)


def test_prediction_sets_hold_what_is_true_of_the_holdout(made):
    mixture = Mixture(made, {"keen": 1})
    targets = made.plan.manifest.targets
    columns = [f"prob/{name}" for name in targets.classes]
    tables = [pd.read_parquet(made.fetch(f"keen-{fold}", "holdout_predictions.parquet")) for fold in range(3)]
    members = [
        own.apply(table.sort_values("path")[columns].to_numpy())
        for own, table in zip(fold_scalings(made, "keen").values(), tables, strict=True)
    ]
    sets, _ = sets_of(np.stack(members), mixture.scores, targets.kind, coverage=0.9)
    y = targets.numbers(tables[0].sort_values("path")["true"].tolist())
    held = sets[np.arange(len(y)), y] if y.ndim == 1 else sets[y == 1]
    assert held.mean() > 0.75


def test_without_calibration_the_probabilities_are_the_networks_own(tmp_path):
    made = made_evidence(tmp_path, {"keen": 0.5}, n=60, calibration="none", n_draws=1000)
    mixture = best_mixture(made)
    own = mixture.members()[0]["networks"]["keen"]
    assert (own["weights"], own["biases"], own["share"]) == ([1, 1, 1], [0, 0, 0], 1)
    pd.testing.assert_frame_equal(mixture.out_of_fold, made.tables["keen"].sort_values("path", ignore_index=True))


def test_the_best_backbone_is_registered_only_when_it_is_whole(tmp_path):
    made = made_evidence(tmp_path, {"keen": 1.0, "blunt": 0.2}, n=60, missing={"blunt": [1]}, noise=0.1, n_draws=1000)
    best = next(iter(made.results))
    found = best_mixture(made)
    if best == "keen":
        assert dict(found.weights) == {"keen": 1}
        assert len(found.out_of_fold) == 60
    else:
        assert "2 of 3 folds" in found


def test_a_failed_fold_of_another_backbone_costs_the_best_one_no_image(tmp_path):
    made = made_evidence(tmp_path, {"only": 1.0}, n=60, missing={"only": [2]}, n_draws=1000)
    assert best_mixture(made) == "only, the best backbone, has 2 of 3 folds, and only whole ones are registered."


def test_repeated_folds_are_all_members(tmp_path):
    made = made_evidence(tmp_path, {"one": 1.0}, n=60, n_repeats=2, n_draws=1000)
    mixture = best_mixture(made)
    assert len(mixture.members()) == 6
    assert len(mixture.out_of_fold) == 60
    assert sum(len(own[0]) for own in mixture.scores) == 120


def test_the_card_says_what_it_is_for_how_good_it_is_and_where_it_fails(made):
    settings = made.plan.experiment.champion
    mixture = Mixture(made, {"keen": 2, "blunt": 1})
    sections = [
        Section("errors", "Errors", ("cat is taken for dog most often.",)),
        Section("calibration", "Calibration", ("It was too sure of itself.",)),
        Section("cost", "Cost", ("It is dear.",)),
    ]
    context = CardContext(
        "eyes", "run 7", sections, ("A <b> bar | at the border",), {"keras": "3.15", "tensorflow": ""}
    )
    text = card(mixture, context)
    assert "# eyes\n" in text
    assert "2 × keen + blunt" in text
    assert "Not stated" in text
    assert "- cat is taken for dog most often." in text
    assert "- It was too sure of itself." in text
    assert "It is dear" not in text
    assert "- A &lt;b> bar \\| at the border" in text
    assert made.plan.manifest.digest in text
    assert "keras 3.15." in text
    assert "tensorflow" not in text
    score = next(own for own in mixture.scored(mixture.holdout) if own.metric == made.metrics[0])
    assert f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})" in text
    assert settings.licence == ""
    assert "Licence: not stated" in text
    for label in made.plan.manifest.classes:
        assert f"| {label} |" in text


@pytest.mark.parametrize("n", [0, 90, 2000])
def test_the_description_fits_into_the_registry_and_keeps_the_scores(made, n):
    mixture = Mixture(made, {"keen": 1})
    context = CardContext("eyes", "run 7", [], [f"Warning {k}: {'so ' * 10}." for k in range(n)], {"keras": "3.15"})
    whole, short = card(mixture, context), description(mixture, context)
    assert len(short) <= LONGEST
    assert all(f"Warning {k}:" in whole for k in range(n))
    assert (short == whole) == (n == 0)
    assert "## Scores" in short
    assert "model_card.md" in short or n == 0


def test_the_card_of_very_many_classes_is_cut_and_says_so(tmp_path):
    names = [f"class {'x' * 60} {k}" for k in range(80)]
    made = made_evidence(tmp_path, {"one": 1.0}, classes=names, n=240, n_draws=1000)
    short = description(best_mixture(made), CardContext("eyes", "run 7", [], [], {}))
    assert len(short) <= LONGEST
    assert short.endswith("run.\n")
    assert "Cut short" in short


def test_what_one_fold_says_is_no_mean_over_repeats(tmp_path):
    made = made_evidence(tmp_path, {"one": 1.0}, n=60, n_repeats=2, noise=3.0, calibration="none", n_draws=1000)
    mixture = Mixture(made, {"one": 1})
    alone = mixture.by_one_fold
    assert alone["path"].value_counts().eq(2).all()
    first = alone.drop_duplicates("path").sort_values("path", ignore_index=True)
    logged = pd.concat([pd.read_parquet(made.fetch(f"one-{fold}", "predictions.parquet")) for fold in range(3)])
    np.testing.assert_allclose(first["prob/cat"], logged.sort_values("path")["prob/cat"])
    assert np.abs(first["prob/cat"] - mixture.out_of_fold.sort_values("path")["prob/cat"].to_numpy()).max() > 0.1
