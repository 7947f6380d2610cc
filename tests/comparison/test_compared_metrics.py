from __future__ import annotations

import pytest

from tasks.comparison.compared_metrics import check_metrics
from tasks.comparison.statistics.weighted import larger_is_better
from tasks.config import InputError
from tasks.dataset.targets import Targets

TARGETS = Targets(("cat", "big dog"))


def test_metrics_of_the_kind_and_of_the_classes_are_taken():
    check_metrics(None, TARGETS)
    chosen = ["accuracy", "roc_auc", "recall/cat", "f1/big dog"]
    check_metrics(chosen, TARGETS)
    check_metrics(["subset_accuracy"], Targets(("a", "b"), "multilabel"))
    assert all(larger_is_better(metric) for metric in chosen)


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("acuracy", "multiclass labels have no metric 'acuracy'. Did you mean accuracy?"),
        ("quadratic_kappa", "multiclass labels have no metric 'quadratic_kappa'"),
        ("recall/cta", "'recall/cta' is of no class. Did you mean cat? The classes are: cat, big dog."),
        ("brier/cat", "There is no metric `brier/cat`"),
        ("recall", "multiclass labels have no metric 'recall'. Did you mean recall_macro?"),
    ],
)
def test_what_the_data_do_not_have_is_refused_with_the_nearest(metric, said):
    with pytest.raises(InputError) as caught:
        check_metrics(["accuracy", metric], TARGETS)
    assert str(caught.value).startswith("comparison.metrics: ")
    assert said in str(caught.value)
