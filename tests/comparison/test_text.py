from __future__ import annotations

import pytest

from tasks.comparison.summary import Summary
from tasks.comparison.text import duration, interval, listing, mean_and_spread, metric_title, number


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (None, "–"),
        (-1, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3660, "1 h 1 min"),
        (90000, "25 h 0 min"),
    ],
)
def test_durations(seconds, written):
    assert duration(seconds) == written


def test_figures():
    assert number(-0.0001) == "0.000"
    assert number(None) == "–"
    assert mean_and_spread(Summary(0.9, 0.03, 0.8, 1.0, [])) == "0.900 ± 0.030"
    assert mean_and_spread(Summary(0.9, None, None, None, [0.9])) == "0.900"
    assert mean_and_spread(None) == interval(None) == interval(Summary(0.9, None, None, None, [0.9])) == "–"
    assert interval(Summary(0.9, 0.03, 0.8, 1.0, [])) == "0.800 to 1.000"


def test_words():
    assert metric_title("balanced_accuracy") == "balanced accuracy"
    assert metric_title("roc_auc") == "ROC AUC"
    assert listing(["a"]) == "a"
    assert listing(["a", "b", "c"]) == "a, b and c"
