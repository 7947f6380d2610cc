from __future__ import annotations

import pytest

from tasks.workers.events import FoldEvent, StepEvent
from tasks.workers.progress import Progress


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def run(progress, clock, backbone, fold, seconds, end="completed"):
    progress.take(FoldEvent(backbone, fold, "starting"))
    clock.now += seconds
    progress.take(FoldEvent(backbone, fold, end))


def test_no_estimate_before_a_fold_run_is_completed(clock):
    progress = Progress(["a"], range(4), clock=clock)
    assert progress.remaining() is None
    progress.take(FoldEvent("a", 0, "reused"))
    run(progress, clock, "a", 1, 30, end="failed")
    assert progress.remaining() is None
    assert progress.elapsed() == 30


def test_the_rest_takes_what_the_finished_ones_took_spread_over_the_workers(clock):
    progress = Progress(["a"], range(7), workers=2, clock=clock)
    run(progress, clock, "a", 0, 10)
    run(progress, clock, "a", 1, 20)
    progress.take(FoldEvent("a", 2, "reused"))
    assert progress.remaining() == pytest.approx(4 * 15 / 2)


def test_each_backbone_is_expected_to_take_its_own_time(clock):
    progress = Progress(["slow", "fast", "new"], range(2), clock=clock)
    run(progress, clock, "slow", 0, 100)
    run(progress, clock, "fast", 0, 2)
    assert progress.remaining() == pytest.approx(100 + 2 + 2 * 51)


def test_time_spent_on_a_running_one_counts_and_never_below_nothing(clock):
    progress = Progress(["a"], range(2), clock=clock)
    run(progress, clock, "a", 0, 10)
    progress.take(FoldEvent("a", 1, "training", epoch=1))
    clock.now += 4
    progress.take(FoldEvent("a", 1, "evaluating"))
    assert progress.remaining() == pytest.approx(6)
    clock.now += 50
    assert progress.remaining() == 0
    progress.take(FoldEvent("a", 1, "failed"))
    assert progress.remaining() == 0


def test_more_workers_than_runs_do_not_shorten_the_last_one(clock):
    progress = Progress(["a"], range(2), workers=8, clock=clock)
    run(progress, clock, "a", 0, 10)
    assert progress.remaining() == pytest.approx(10)


def test_a_retry_starts_the_clock_anew(clock):
    progress = Progress(["a"], range(2), clock=clock)
    progress.take(FoldEvent("a", 0, "starting"))
    clock.now += 500
    progress.take(FoldEvent("a", 0, "retrying"))
    run(progress, clock, "a", 0, 10)
    assert progress.seconds_of("a", 0) == 10
    assert progress.remaining() == pytest.approx(10)


def test_only_a_new_state_or_step_is_news(clock):
    progress = Progress(["a"], range(1), clock=clock)
    news = [
        progress.take(event)
        for event in (
            FoldEvent("a", 0, "training", epoch=1),
            FoldEvent("a", 0, "training", epoch=2),
            StepEvent("comparing", 0, 2),
            StepEvent("comparing", 1, 2),
            FoldEvent("a", 0, "completed"),
        )
    ]
    assert news == [True, False, True, False, True]
    assert progress.n_final() == 1


def test_a_late_word_of_an_earlier_state_does_not_undo_the_end(clock):
    progress = Progress(["a"], range(1), clock=clock)
    progress.take(FoldEvent("a", 0, "failed", message="killed"))
    assert not progress.take(FoldEvent("a", 0, "training", epoch=3))
    assert progress.snapshot()["a", 0].state == "failed"


def test_a_fold_run_that_is_not_in_the_plan_is_refused(clock):
    with pytest.raises(KeyError):
        Progress(["a"], range(1), clock=clock).take(FoldEvent("b", 0, "starting"))
