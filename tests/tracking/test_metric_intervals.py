from __future__ import annotations

from tasks.tracking.intervals import intervals_alone, values_alone


def test_ends_of_intervals_stand_apart_from_values_and_nothing_is_lost():
    metrics = {"accuracy": 0.9, "accuracy_ci_low": 0.8, "accuracy_ci_high": 0.95, "log_loss": 0.3, "f1/a_ci_low": 0.5}
    assert values_alone(metrics) == {"accuracy": 0.9, "log_loss": 0.3, "f1/a_ci_low": 0.5}
    assert intervals_alone(metrics) == {"accuracy": {"ci_low": 0.8, "ci_high": 0.95}}


def test_a_class_called_like_an_end_keeps_its_value_and_may_have_an_interval_itself():
    metrics = {"recall/x_ci_low": 0.5, "recall/x_ci_low_ci_high": 0.7}
    assert values_alone(metrics) == {"recall/x_ci_low": 0.5}
    assert intervals_alone(metrics) == {"recall/x_ci_low": {"ci_high": 0.7}}
