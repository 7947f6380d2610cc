from __future__ import annotations

import threading

import pytest

from tasks.workers.events import FoldEvent, StepEvent, publish, subscribe


def test_listeners_hear_events_in_order_for_as_long_as_they_subscribe():
    heard = []
    events = [StepEvent("reading images", 1, 2), FoldEvent("ncnn", 0, "starting")]
    with subscribe(heard.append):
        for event in events:
            publish(event)
    publish(StepEvent("afterwards"))
    assert heard == events


def test_a_listener_that_raises_disturbs_neither_the_run_nor_the_others(caplog):
    heard = []

    def broken(event):
        raise RuntimeError("screen is gone")

    with subscribe(broken), subscribe(heard.append):
        publish(StepEvent("comparing"))
    assert heard == [StepEvent("comparing")]
    assert "screen is gone" in caplog.text


def test_the_same_listener_twice_is_called_twice_and_leaves_one_by_one():
    heard = []
    listener = heard.append
    with subscribe(listener):
        with subscribe(listener):
            publish(StepEvent("both"))
        publish(StepEvent("one"))
    assert [event.step for event in heard] == ["both", "both", "one"]


def test_a_listener_is_gone_after_an_error_inside_the_block():
    heard = []
    with pytest.raises(KeyboardInterrupt), subscribe(heard.append):
        raise KeyboardInterrupt
    publish(StepEvent("afterwards"))
    assert heard == []


def test_a_listener_may_publish_and_subscribe_itself():
    heard = []

    def answer(event):
        if event.step == "question":
            with subscribe(heard.append):
                publish(StepEvent("answer"))

    with subscribe(answer):
        publish(StepEvent("question"))
    assert heard == [StepEvent("answer")]


def test_events_from_many_threads_all_arrive():
    heard = []

    def tell(fold):
        for epoch in range(50):
            publish(FoldEvent("ncnn", fold, "training", epoch=epoch))

    threads = [threading.Thread(target=tell, args=(fold,)) for fold in range(8)]
    with subscribe(heard.append):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(heard) == 400
    assert [e.epoch for e in heard if e.fold == 3] == list(range(50))
