"""Whether a model takes the champion's place: on drawn predictions, so that what is true is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.comparison.champion.mixture import Mixture, best_mixture
from tasks.comparison.champion.promotion import judged, unlike_classes, unseen_predictions
from tasks.comparison.evidence import Evidence
from tasks.dataset.targets import Targets
from tests.support.made_evidence import made_evidence

DRAWS = 1000


def answers(table, wrong, targets):
    """Give sure predictions for a table's images, of which every `wrong`-th is wrong."""
    y = targets.numbers(table["true"].tolist())
    y = np.where(np.arange(len(y)) % wrong == 0, (y + 1) % len(targets.classes), y)
    sure = np.full((len(y), len(targets.classes)), 0.02)
    sure[np.arange(len(y)), y] = 0.96
    columns = {f"prob/{name}": sure[:, k] for k, name in enumerate(targets.classes)}
    return table.assign(predicted=targets.texts(y), **columns)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return made_evidence(
        tmp_path_factory.mktemp("made"), {"keen": 1.0, "blunt": 0.4}, n=150, n_holdout=40, n_draws=1000
    )


@pytest.fixture(scope="module")
def mixture(made):
    found = best_mixture(made)
    assert isinstance(found, Mixture)
    return found


@pytest.fixture(scope="module")
def asked(made, mixture):
    return unseen_predictions(made, mixture, set())


def test_a_better_one_moves_and_its_figures_are_told(made, asked):
    targets = made.plan.manifest.targets
    good, bad = answers(asked, 50, targets), answers(asked, 3, targets)
    found = judged(good, bad, made, DRAWS)
    assert found.moves
    assert found.n_images == found.n_groups == len(asked) == 190
    assert found.metric == "balanced_accuracy"
    assert found.ci_low > 0
    assert found.difference == pytest.approx(1 / 3 - 1 / 50, abs=0.03)
    assert "the new model is better" in found.reason


def test_a_worse_one_and_an_equal_one_do_not_move(made, asked):
    targets = made.plan.manifest.targets
    good, bad = answers(asked, 50, targets), answers(asked, 3, targets)
    worse, equal = judged(bad, good, made, DRAWS), judged(good, good, made, DRAWS)
    assert not worse.moves
    assert worse.ci_high < 0
    assert not equal.moves
    assert (equal.difference, equal.ci_low, equal.ci_high) == (0, 0, 0)


def test_of_a_metric_where_less_is_better_the_lower_one_moves(made, asked):
    targets = made.plan.manifest.targets
    settings = made.plan.experiment
    evaluation = settings.evaluation.model_copy(update={"metric": "log_loss"})
    by_loss = replace(made, plan=replace(made.plan, experiment=settings.model_copy(update={"evaluation": evaluation})))
    good, bad = answers(asked, 50, targets), answers(asked, 3, targets)
    assert judged(good, bad, by_loss, DRAWS).moves
    assert judged(good, bad, by_loss, DRAWS).ci_high < 0
    assert not judged(bad, good, by_loss, DRAWS).moves


def test_without_a_difference_few_move(made, asked):
    targets = made.plan.manifest.targets
    rng, moved = np.random.default_rng(0), 0
    y = targets.numbers(asked["true"].tolist())
    columns = [f"prob/{name}" for name in targets.classes]
    for seed in range(60):
        both = []
        for _ in range(2):
            p = rng.dirichlet([1, 1, 1], len(asked)) * 0.5
            p[np.arange(len(y)), y] += 0.5 * rng.random(len(y))
            p /= p.sum(axis=1, keepdims=True)
            both.append(asked.assign(predicted=targets.texts(p.argmax(axis=1)), **dict(zip(columns, p.T, strict=True))))
        settings = made.plan.experiment.model_copy(update={"seed": seed})
        moved += judged(*both, replace(made, plan=replace(made.plan, experiment=settings)), DRAWS).moves
    assert moved <= 5  # 2.5 % are expected; 6 of 60 or more have a chance below 1 %


def test_fewer_than_twenty_groups_carry_no_claim(tmp_path):
    made = made_evidence(tmp_path, {"one": 1.0}, n=76, group_size=4, n_draws=1000)
    targets = made.plan.manifest.targets
    asked = made.tables["one"]
    found = judged(answers(asked, 50, targets), answers(asked, 2, targets), made, DRAWS)
    assert not found.moves
    assert found.n_groups == 19
    assert found.ci_low > 0
    assert "fewer than 20 groups" in found.reason


def test_without_an_unseen_image_nothing_moves(made, mixture):
    everything = set(made.plan.manifest.table["sha256"])
    asked = unseen_predictions(made, mixture, everything)
    assert not len(asked)
    found = judged(asked, asked, made)
    assert not found.moves
    assert "no image that neither" in found.reason


def test_what_the_champion_has_seen_is_left_out_and_the_holdout_is_answered_by_all_folds(made, mixture, asked):
    table = made.plan.manifest.table
    seen = set(table["sha256"][:100])
    found = unseen_predictions(made, mixture, seen)
    assert set(found["path"]) == set(table["path"][100:])
    assert (found["fold"] == -1).sum() == 40
    held_out = found[found["fold"] == -1].sort_values("path", ignore_index=True)
    expected = mixture.holdout.sort_values("path", ignore_index=True)
    np.testing.assert_allclose(held_out["prob/cat"], expected["prob/cat"])


def test_no_image_chooses_the_model_that_it_is_held_against(tmp_path):
    """Of many models that only guess, the best on all images looks good on them; on what others choose, it does not."""
    names = {f"guess {k}": 1.0 for k in range(12)}
    rates, chosen = [], []
    for seed in range(6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        made = made_evidence(folder, names, n=60, classes=("a", "b"), noise=50.0, spread=0.01, seed=seed, n_draws=1000)
        mixture = Mixture(
            Evidence(made.plan, {k: made.results[k] for k in [next(iter(made.results))]}, made.fetch),
            {next(iter(made.results)): 1},
        )
        own = mixture.out_of_fold
        rates.append((own["true"] == own["predicted"]).mean())
        asked = unseen_predictions(made, mixture, set())
        chosen.append((asked["true"] == asked["predicted"]).mean())
    assert np.mean(rates) > 0.56
    assert np.mean(chosen) < 0.55


def test_of_many_images_whole_groups_are_drawn(tmp_path, monkeypatch):
    monkeypatch.setattr("tasks.comparison.champion.promotion.MOST_IMAGES", 50)
    made = made_evidence(tmp_path, {"one": 1.0}, n=120, group_size=4, n_draws=1000)
    found = unseen_predictions(made, best_mixture(made), set())
    groups = made.groups.reindex(found["path"])
    assert 46 < len(found) <= 50
    assert set(groups.value_counts()) == {4}


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"kind": "multiclass", "classes": ["dog", "cat"]}, None),
        ({"kind": "multiclass", "classes": ["cat", "dog", "owl"]}, "cat, dog, owl"),
        ({"kind": "multilabel", "classes": ["cat", "dog"]}, "multilabel"),
    ],
)
def test_other_classes_do_not_compare(about, said):
    found = unlike_classes(Targets(("cat", "dog")), about)
    assert (found is None) if said is None else said in found


def test_grades_in_another_order_do_not_compare():
    targets = Targets(("low", "high"), "ordinal")
    assert unlike_classes(targets, {"kind": "ordinal", "classes": ["low", "high"]}) is None
    assert unlike_classes(targets, {"kind": "ordinal", "classes": ["high", "low"]}) is not None


def challenger_of(made, name):
    return Mixture(Evidence(made.plan, {name: made.results[name]}, made.fetch), {name: 1})


def test_a_backbone_that_shares_no_fold_is_no_rival(tmp_path):
    missing = {"one": [1, 2], "two": [0, 2]}
    made = made_evidence(tmp_path, {"keen": 1.0, "one": 0.5, "two": 0.5}, n=60, missing=missing, n_draws=1000)
    assert set(made.results) - set(made.names)
    asked = unseen_predictions(made, challenger_of(made, "keen"), set())
    assert set(asked["path"]) == set(made.plan.manifest.table["path"])


def test_a_rival_with_one_fold_alone_takes_no_image_away(tmp_path):
    made = made_evidence(tmp_path, {"keen": 1.0, "part": 0.5}, n=60, missing={"part": [1, 2]}, n_draws=1000)
    assert made.folds == (0,)
    asked = unseen_predictions(made, challenger_of(made, "keen"), set())
    assert len(asked) == 60


def test_held_out_images_of_a_group_that_the_folds_hold_are_not_asked_about(tmp_path):
    """They would favour the challenger, which has learnt from others of their group."""
    made = made_evidence(tmp_path, {"one": 1.0}, n=150, n_holdout=40, group_size=4, n_draws=1000)
    asked = unseen_predictions(made, best_mixture(made), set())
    held_out = set(asked.loc[asked["fold"] == -1, "path"])
    assert held_out == set(made.plan.manifest.table["path"][152:])
