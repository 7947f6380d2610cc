from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from flows.display import GridDisplay, LineDisplay, display_for, ranking_table
from tasks.comparison.summary import summarise_folds
from tasks.workers.events import FoldEvent, StepEvent, publish, subscribe
from tasks.workers.progress import Progress

FIVE = ["vgg16", "resnet50", "senet50", "inceptionv3", "ncnn"]


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def terminal(width=100, *, is_terminal=True, encoding="utf-8"):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, write_through=True)
    return Console(width=width, height=50, force_terminal=is_terminal, file=file, color_system=None)


def grid(backbones=FIVE, folds=range(5), width=100, **console):
    clock = Clock()
    progress = Progress(backbones, folds, workers=2, clock=clock)
    return GridDisplay(terminal(width, **console), progress, "balanced_accuracy"), clock


def drawn(display):
    console = display._console
    with console.capture() as capture:
        console.print(display.render())
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert all(len(line) <= console.width for line in lines)
    return lines


def row(lines, name):
    return next(line for line in lines if line.startswith(name))


def tell_everything(display, backbone, folds):
    states = [
        FoldEvent(backbone, folds[0], "completed", value=0.9124),
        FoldEvent(backbone, folds[1], "training", epoch=3, epochs=10, value=0.8712),
        FoldEvent(backbone, folds[2], "failed", message="The loss\nwas NaN."),
        FoldEvent(backbone, folds[3], "reused", value=0.5),
    ]
    for event in states:
        display(event)


def test_a_wide_grid_shows_epoch_and_validation_metric():
    display, _ = grid(width=130)
    tell_everything(display, "senet50", range(5))
    lines = drawn(display)
    assert row(lines, "senet50").split() == ["senet50", "✓", "0.912", "epoch", "3/10", "0.87", "✗", "↺", "0.500", "·"]
    assert row(lines, "vgg16").split() == ["vgg16", *"·····"]
    assert row(lines, "✗") == "✗ senet50/2: The loss was NaN."


@pytest.mark.parametrize("width", [80, 100])
def test_five_folds_still_show_the_validation_metric(width):
    display, _ = grid(width=width)
    tell_everything(display, "inceptionv3", range(5))
    assert "3/10 0.87" in row(drawn(display), "inceptionv3")


def test_ten_folds_fit_a_hundred_columns_each_in_its_cell():
    display, _ = grid(folds=range(10))
    for fold in range(10):
        display(FoldEvent("inceptionv3", fold, "completed", value=0.9))
    display(FoldEvent("ncnn", 0, "training", epoch=100, epochs=100, value=0.9))
    display(FoldEvent("ncnn", 1, "explaining"))
    lines = drawn(display)
    assert row(lines, "inceptionv3").count("✓ 0.900") == 10
    assert row(lines, "ncnn").split()[1:3] == ["100/100", "explain"]
    assert "fold 9" in lines[0]


def test_many_folds_give_way_to_counts():
    display, _ = grid(folds=range(25))
    tell_everything(display, "ncnn", range(5))
    lines = drawn(display)
    assert row(lines, "ncnn").split() == ["ncnn", "0.706", "✓", "1", "↺", "1", "✗", "1", "▸", "1", "·", "21"]
    assert "fold 24" not in "".join(lines)


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_narrow_terminal_still_names_every_backbone(width):
    display, _ = grid(backbones=[*FIVE, "a_backbone_with_a_very_long_registry_name"], width=width)
    tell_everything(display, "ncnn", range(5))
    lines = drawn(display)
    assert [line[:4] for line in lines[1:7]] == ["vgg1", "resn", "sene", "ince", "ncnn", "a_ba"]


def test_a_terminal_without_unicode_gets_plain_marks():
    display, _ = grid(encoding="ascii")
    tell_everything(display, "ncnn", range(5))
    assert row(drawn(display), "ncnn").split()[:3] == ["ncnn", "+", "0.912"]


def test_only_the_first_failures_are_told_in_full():
    display, _ = grid()
    for fold in range(5):
        display(FoldEvent("ncnn", fold, "failed", message="out of memory " * 20))
    lines = drawn(display)
    assert sum(line.startswith("✗ ncnn/") for line in lines) == 3
    assert "  and 2 more failed" in lines


def test_step_and_times_stand_below_and_no_estimate_before_the_first_end():
    display, clock = grid(backbones=["ncnn"])
    display(StepEvent("decoding images", 40, 200))
    display(FoldEvent("ncnn", 0, "starting"))
    clock.now = 90.0
    text = " ".join(drawn(display))
    assert "decoding images 40 of 200, 0 of 5 fold runs ended, 1 min 30 s gone" in text
    assert "left" not in text
    display(FoldEvent("ncnn", 0, "completed", value=0.5))
    assert "1 of 5 fold runs ended, 1 min 30 s gone, about 3 min 0 s left" in " ".join(drawn(display))


def test_the_live_grid_ends_on_its_last_state_with_events_from_many_threads():
    display, _ = grid(folds=range(4), width=100)

    def work(name):
        for fold in range(4):
            publish(FoldEvent(name, fold, "starting"))
            publish(FoldEvent(name, fold, "completed", value=0.75))

    with display, subscribe(display):
        threads = [threading.Thread(target=work, args=(name,)) for name in FIVE]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    screen = display._console.file.buffer.getvalue().decode()
    last = screen[screen.rindex("fold 0") :]
    assert last.count("✓ 0.750") == 20
    assert "20 of 20 fold runs ended" in last


def lines_of(*events, width=40):
    clock = Clock()
    console = terminal(width, is_terminal=False)
    display = LineDisplay(console, Progress(["ncnn"], range(3), clock=clock), "balanced_accuracy")
    with display:
        for event in events:
            display(event)
            clock.now += 61
    return console.file.buffer.getvalue().decode().splitlines()


def test_plain_lines_tell_of_beginnings_and_ends_but_not_of_epochs():
    assert lines_of(
        StepEvent("reading images", 0, 10),
        StepEvent("reading images", 5, 10),
        FoldEvent("ncnn", 0, "starting"),
        FoldEvent("ncnn", 0, "training", epoch=1, epochs=9, metric="balanced_accuracy", value=0.4),
        FoldEvent("ncnn", 0, "training", epoch=2, epochs=9, metric="balanced_accuracy", value=0.5),
        FoldEvent("ncnn", 0, "evaluating"),
        FoldEvent("ncnn", 0, "completed", metric="balanced_accuracy", value=0.9),
        FoldEvent("ncnn", 1, "reused", value=0.8),
        FoldEvent("ncnn", 2, "retrying", message="killed"),
        FoldEvent("ncnn", 2, "failed", message="Traceback [bold]\n  killed again"),
    ) == [
        "[0:00:00] reading images",
        "[0:02:02] ncnn/0 started",
        "[0:06:06] ncnn/0 done in 4 min 4 s, balanced accuracy 0.900 (1 of 3)",
        "[0:07:07] ncnn/1 reused, balanced accuracy 0.800 (2 of 3)",
        "[0:08:08] ncnn/2 is tried again: killed",
        "[0:09:09] ncnn/2 FAILED: Traceback [bold] killed again (3 of 3)",
    ]


def test_a_terminal_gets_the_grid_and_a_pipe_gets_lines():
    assert isinstance(display_for(terminal(), FIVE, range(5), "accuracy"), GridDisplay)
    assert isinstance(display_for(terminal(is_terminal=False), FIVE, range(5), "accuracy"), LineDisplay)


def ranking(width):
    values = {
        "best": {"accuracy": [0.9, 0.92], "roc_auc": [0.95, 0.97], "cohen_kappa": [0.8, 0.8]},
        "worst": {"accuracy": [0.5, 0.52], "roc_auc": [0.6, 0.6], "cohen_kappa": [0.0, 0.1]},
        "dead": {"accuracy": [None, None]},
    }
    own = {
        n: summarise_folds(v, n_train=[80, 80], n_test=[20, 20], ranges={"accuracy": (0, 1)}) for n, v in values.items()
    }
    done = {"best": 2, "worst": 2}
    table = ranking_table(own, "accuracy", higher_is_better=True, folds_completed=done, n_folds=2, width=width)
    console = terminal(width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_the_ranking_stands_from_best_to_worst_with_intervals():
    text = ranking(100)
    assert text.index("best") < text.index("worst") < text.index("dead")
    best = next(line for line in text.splitlines() if "best" in line)
    assert [cell.strip() for cell in best.split("│")[1:-1]] == [
        "best",
        "0.910 ± 0.014",
        "0.754 to 1.000",
        "2/2",
        "0.960",
        "0.800",
    ]
    assert "0/2" in next(line for line in text.splitlines() if "dead" in line)


def test_a_narrow_ranking_leaves_columns_out_rather_than_cutting_figures():
    assert "ROC AUC" in ranking(100)
    narrow = ranking(62)
    assert "ROC AUC" not in narrow
    assert "…" not in narrow
    assert "0.754 to 1.000" in narrow
