from __future__ import annotations

import numpy as np
import pytest

from tasks.evaluation.calibration import expected_calibration_error
from tasks.evaluation.checks import checked_predictions
from tasks.evaluation.forecasts import abstention, class_forecasts, decision_forecasts, group_numbers

P3 = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.3, 0.4, 0.3]])
LABELS = checked_predictions(np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.4], [0.6, 0.7]]), 2, "multilabel")
PATIENTS = np.array(["b", "a", "b"])


def test_each_class_is_forecast_against_the_rest_and_of_two_the_second_alone():
    found = class_forecasts(checked_predictions(np.array([0, 2, 2]), P3, 3), "abc", "multiclass", PATIENTS)
    assert list(found) == ["a", "b", "c"]
    np.testing.assert_allclose(found["c"].probability, [0.1, 0.6, 0.3])
    assert found["c"].happened.tolist() == [False, True, True]
    assert found["c"].groups.tolist() == [1, 0, 1]
    two = class_forecasts(
        checked_predictions(np.array([0, 1]), np.array([[0.8, 0.2], [0.5, 0.5]]), 2), "ab", "multiclass"
    )
    assert list(two) == ["b"]
    np.testing.assert_allclose(two["b"].probability, [0.2, 0.5])


def test_of_grades_each_but_the_lowest_is_forecast_to_be_reached():
    found = class_forecasts(checked_predictions(np.array([0, 1, 2]), P3, 3, "ordinal"), "012", "ordinal")
    assert list(found) == ["1 or above", "2 or above"]
    np.testing.assert_allclose(found["1 or above"].probability, [0.3, 0.9, 0.7])
    assert found["1 or above"].happened.tolist() == [False, True, True]
    assert found["2 or above"].happened.tolist() == [False, False, True]


def test_the_labels_of_one_image_are_forecasts_of_one_group():
    found = decision_forecasts(LABELS)
    np.testing.assert_allclose(found.probability, [0.9, 0.6, 0.6, 0.7])
    assert found.happened.tolist() == [True, True, False, True]
    assert found.groups.tolist() == [0, 0, 1, 1]
    assert decision_forecasts(LABELS, np.array(["x", "x"])).groups.tolist() == [0] * 4
    assert list(class_forecasts(LABELS, "ab", "multilabel")) == ["a", "b"]
    gap = np.abs(found.probability - found.happened)
    assert expected_calibration_error(*LABELS, n_bins=1) == pytest.approx(abs(found.probability.mean() - 0.75))
    assert gap.mean() > abs(found.probability.mean() - 0.75)


def test_an_image_is_as_sure_as_its_least_sure_label_and_wrong_if_one_is():
    found = abstention(LABELS)
    np.testing.assert_allclose(found.confidence, [0.6, 0.6])
    assert found.loss.tolist() == [0, 1]
    grades = abstention(checked_predictions(np.array([0, 1, 1]), P3, 3, "ordinal"), PATIENTS)
    np.testing.assert_allclose(grades.confidence, [0.7, 0.6, 0.4])
    assert grades.loss.tolist() == [0, 1, 0]


def test_groups_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="group of each of 3"):
        group_numbers(np.array(["a", "b"]), 3)
