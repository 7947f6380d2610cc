from __future__ import annotations

import io
import re
import threading
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from flows.screen import Screen, closing_lines, print_result
from tasks.comparison.results import BackboneResult, ExperimentResult, FoldResult
from tasks.comparison.summary import summarise_folds
from tasks.workers.events import FoldEvent, PlanEvent, StepEvent, publish, subscribe
from tests.support.processes import until

PLAN = PlanEvent(("vgg16", "ncnn"), (0, 1), "balanced_accuracy", 2)


def console(*, is_terminal, width=100):
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    return Console(width=width, height=40, force_terminal=is_terminal, file=file, color_system=None)


def written(on):
    return on.file.buffer.getvalue().decode()


def a_whole_run(screen):
    """Tell a screen all that happens in a small experiment."""
    for event in (
        StepEvent("reading images", 0, 4),
        StepEvent("reading images", 4, 4),
        StepEvent("looking up earlier runs"),
        PLAN,
        StepEvent("frozen features of vgg16"),
        FoldEvent("vgg16", 0, "reused", metric="balanced_accuracy", value=0.75),
        FoldEvent("vgg16", 1, "starting"),
        FoldEvent("vgg16", 1, "training", epoch=1, epochs=3, metric="balanced_accuracy", value=0.6),
        FoldEvent("ncnn", 0, "failed", message="the fit diverged [really]"),
        FoldEvent("vgg16", 1, "completed", metric="balanced_accuracy", value=0.8125),
        StepEvent("comparing"),
    ):
        screen(event)


def test_a_pipe_gets_the_steps_and_the_fold_runs_line_by_line():
    on = console(is_terminal=False)
    with Screen(on) as screen:
        a_whole_run(screen)
    lines = written(on).splitlines()
    assert lines[:2] == ["reading images 4 of 4", "looking up earlier runs"]
    told = [re.sub(r" done in [^,]+", " done", line.split("] ", 1)[1]) for line in lines[2:]]
    assert told == [
        "frozen features of vgg16",
        "vgg16/0 reused, balanced accuracy 0.750 (1 of 4)",
        "vgg16/1 started",
        "ncnn/0 FAILED: the fit diverged [really] (2 of 4)",
        "vgg16/1 done, balanced accuracy 0.812 (3 of 4)",
        "comparing",
    ]
    assert "\x1b" not in written(on)


def test_a_terminal_gets_a_spinner_until_the_plan_is_known_and_then_the_grid():
    on = console(is_terminal=True)
    with Screen(on) as screen:
        screen(StepEvent("reading images", 1, 4))
        until(lambda: "reading images 1 of 4" in written(on), 5, "the spinner")
        assert "fold 0" not in written(on)
        screen(PLAN)
        screen(FoldEvent("ncnn", 1, "completed", value=0.875))
    last = written(on)[written(on).rindex("fold 0") :]
    assert "vgg16" in last
    assert "✓ 0.875" in last
    assert "1 of 4 fold runs ended" in last


def test_the_cursor_is_given_back_even_after_an_error():
    on = console(is_terminal=True)

    def stopped():
        with Screen(on) as screen:
            screen(PLAN)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    hidden, shown = written(on).rfind("\x1b[?25l"), written(on).rfind("\x1b[?25h")
    assert -1 < hidden < shown


def test_an_end_before_the_plan_leaves_nothing_open():
    on = console(is_terminal=True)
    with Screen(on) as screen:
        screen(StepEvent("reading images"))
    assert written(on).rfind("\x1b[?25l") < written(on).rfind("\x1b[?25h")


def test_fold_runs_before_the_plan_and_a_second_plan_are_no_trouble():
    on = console(is_terminal=False)
    with Screen(on) as screen:
        screen(FoldEvent("ncnn", 0, "starting"))
        screen(PLAN)
        screen(PLAN)
        screen(FoldEvent("ncnn", 0, "failed", message="x"))
    assert written(on).count("FAILED") == 1


@pytest.mark.parametrize("is_terminal", [True, False])
def test_events_may_come_from_many_threads(is_terminal):
    on = console(is_terminal=is_terminal)

    def work(name):
        publish(PLAN)
        for fold in (0, 1):
            publish(FoldEvent(name, fold, "starting"))
            publish(FoldEvent(name, fold, "completed", value=0.5))

    with Screen(on) as screen, subscribe(screen):
        threads = [threading.Thread(target=work, args=(name,)) for name in PLAN.backbones]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if is_terminal:
        assert "4 of 4 fold runs ended" in written(on)
    else:
        assert written(on).count(" done in ") == 4
        assert written(on).count("(4 of 4)") == 1


def result(status, cells, *, report="/there/report.html", uri="sqlite:///mlflow.db"):
    """Give an experiment's result; `cells` gives for each backbone its folds' accuracies, None where one failed."""
    backbones = {}
    for name, values in cells.items():
        folds = tuple(
            FoldResult(name, fold, "failed", f"run-{fold}", error=f"worker {fold} [died]")
            if value is None
            else FoldResult(
                name, fold, "reused" if fold == 0 else "completed", f"run-{fold}", metrics={"accuracy": value}
            )
            for fold, value in enumerate(values)
        )
        summaries = summarise_folds(
            {"accuracy": list(values)},
            n_train=[8] * len(values),
            n_test=[4] * len(values),
            ranges={"accuracy": (0.0, 1.0)},
        )
        backbones[name] = BackboneResult(name, f"id-{name}", summaries, folds, pd.DataFrame(), {})
    return ExperimentResult("my study", "run", status, "d", "accuracy", backbones, list(cells), report, {}, uri)


COMPLETED = result("completed", {"vgg16": [0.5, 0.6], "ncnn": [0.9, 0.95]})
TOLD = {"verdict": ["vgg16 is ahead, but may not be.", "By 0.1."], "letters": {"vgg16": "a", "ncnn": "ab", "x": "b"}}
PARTIAL = result("partial", {"vgg16": [0.5, None], "ncnn": [None, None]})
FAILED = result("failed", {"ncnn": [None, None]}, report=None)


def printed(of, width=100):
    on = console(is_terminal=False, width=width)
    print_result(of, on)
    return written(on)


def test_the_ranking_has_letters_and_under_it_how_far_it_can_be_trusted():
    text = printed(replace(COMPLETED, comparison=TOLD))
    [ncnn] = [line for line in text.splitlines() if line.startswith("│ ncnn")]
    assert [cell.strip() for cell in ncnn.split("│")][4] == "ab"
    lines = text.splitlines()
    answer, ahead, report = map(lines.index, (*TOLD["verdict"], "Report: /there/report.html"))
    assert answer < ahead < report
    assert "Backbones that share a letter cannot be told apart." in lines
    assert "letters" not in printed(COMPLETED)
    assert "letter" not in printed(replace(COMPLETED, comparison=TOLD | {"letters": {}}))


def test_a_completed_experiment_ends_with_the_ranking_and_where_to_look():
    text = printed(COMPLETED)
    assert text.index("ncnn") < text.index("vgg16")
    assert "2/2" in text
    assert closing_lines(COMPLETED) == [
        "2 fold runs completed, 2 fold runs reused.",
        "Report: /there/report.html",
        "MLflow: `foldcam ui` in this folder, experiment 'my study'",
    ]
    assert text.endswith("\n".join(closing_lines(COMPLETED)) + "\n")


def test_what_must_be_told_of_the_pictures_stands_before_where_they_are(tmp_path):
    report, page = tmp_path / "report.html", tmp_path / "explanations.html"
    report.touch()
    told = replace(COMPLETED, report=str(report), notes=("vgg16 looks at the border.", "It took 5 %."))
    assert closing_lines(told)[1:-1] == ["vgg16 looks at the border.", "It took 5 %.", f"Report: {report}"]
    page.touch()
    assert closing_lines(told)[-2] == f"Where each backbone looks: {page}"


def test_a_partial_experiment_names_what_failed_and_why_and_how_to_go_on():
    lines = closing_lines(PARTIAL)
    assert lines[0] == "1 fold run reused, 3 fold runs failed."
    assert lines[1:4] == [
        "Failed: vgg16/1: worker 1 [died]",
        "Failed: ncnn/0: worker 0 [died]",
        "Failed: ncnn/1: worker 1 [died]",
    ]
    assert lines[4].startswith("The same command tries the failed fold runs again")
    text = printed(PARTIAL)
    ranking = text[: text.index("Failed:")]
    assert "vgg16" in ranking
    assert "1/2" in ranking
    assert "ncnn" not in ranking
    assert "worker 0 [died]" in text


def test_a_failed_experiment_has_no_ranking_and_no_report():
    text = printed(FAILED)
    assert "Ranking" not in text
    assert "Report" not in text
    assert "2 fold runs failed." in text


def test_long_paths_and_reasons_are_not_broken_into_lines():
    long = result("completed", {"ncnn": [0.5, 0.5]}, report="/a/" + "very-long-folder/" * 20 + "report.html")
    assert f"Report: {long.report}\n" in printed(long, width=60)


def test_a_teams_server_is_named_by_its_address():
    remote = result("completed", {"ncnn": [0.5, 0.5]}, uri="http://team:5000")
    assert closing_lines(remote)[-1] == "MLflow: http://team:5000, experiment 'my study'"
