from __future__ import annotations

from tasks.comparison.summary import summarise_folds
from tasks.comparison.verdict import verdict


def said(higher_is_better=True, metric="balanced_accuracy", **by_backbone):
    own = {
        name: summarise_folds({metric: series}, n_train=[80] * len(series), n_test=[20] * len(series))
        for name, series in by_backbone.items()
    }
    return " ".join(verdict(own, metric, higher_is_better=higher_is_better)).replace("\u00a0", " ")


def test_the_best_mean_is_named_with_its_interval_and_the_next_one():
    text = said(a=[0.80, 0.90, 0.85], b=[0.79, 0.91, 0.86], c=[0.1, 0.11, 0.12], d=[0.7, 0.9, 0.8])
    assert text.startswith("b has the highest mean balanced accuracy: 0.853 over 3 folds, 95 % interval")
    assert "Next is a with 0.850" in text
    assert "the difference is not established" in text


def test_means_far_apart_establish_nothing_either():
    text = said(a=[0.80, 0.81, 0.82], b=[0.50, 0.51, 0.52])
    assert "not established" in text
    assert "significant" not in text


def test_grades_are_told_by_their_distance():
    text = said(metric="mean_absolute_error", higher_is_better=False, a=[0.80, 0.81], b=[0.50, 0.51])
    assert text.startswith("b has the lowest mean absolute error (in grades): 0.505")


def test_a_metric_where_less_is_more_names_the_lowest():
    text = said(metric="log_loss", higher_is_better=False, a=[0.80, 0.81], b=[0.50, 0.51])
    assert text.startswith("b has the lowest mean log loss: 0.505")


def test_one_fold_gives_no_interval():
    assert "0.900 on 1 fold, which gives no interval" in said(a=[0.9], b=[0.1])


def test_equal_means_put_nobody_ahead():
    assert said(a=[0.8, 0.9], b=[0.9, 0.8], c=[0.1, 0.2]).startswith("a and b share the highest mean")


def test_one_backbone_is_not_called_best():
    text = said(a=[0.8, 0.9], dead=[None, None])
    assert text.startswith("a has a mean balanced accuracy of 0.850 over 2 folds")
    assert "highest" not in text


def test_no_value_at_all_is_nothing_to_compare():
    assert "nothing to compare" in said(a=[None, None])
