from __future__ import annotations

import pytest

from flows.outcomes import state_of
from tasks.comparison.results import BackboneResult, ExperimentResult, FoldResult


def result(status, *failed):
    folds = tuple(FoldResult("ncnn", fold, "failed" if fold in failed else "completed") for fold in range(3))
    own = BackboneResult("ncnn", "run", {}, folds, lambda: None, {})
    return ExperimentResult("eyes", "run", status, "digest", "accuracy", {"ncnn": own}, ["ncnn"], None, {}, "")


@pytest.mark.parametrize(
    ("given", "kind", "name", "told"),
    [
        (result("completed"), "COMPLETED", "Completed", "eyes: best is ncnn."),
        (result("partial", 1), "FAILED", "Partial", "eyes is partial: 1 fold run failed: ncnn/1"),
        (result("failed", 0, 1, 2), "FAILED", "Failed", "eyes is failed: 3 fold runs failed: ncnn/0, ncnn/1, ncnn/2"),
    ],
)
def test_whole_partial_and_failed_experiments_are_told_apart(given, kind, name, told):
    state = state_of(given)
    assert (state.type.value, state.name, state.message) == (kind, name, told)
