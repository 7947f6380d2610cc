from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.comparison.cost.section import cost_section
from tasks.comparison.costs import Cost
from tasks.comparison.evidence import Evidence
from tasks.comparison.results import BackboneResult, FoldResult
from tasks.config import Experiment
from tasks.dataset.folds.assignment import FoldRows
from tasks.dataset.manifest import Manifest
from tasks.dataset.targets import Targets
from tasks.evaluation.style import save
from tasks.evaluation.tables import predictions_table
from tasks.workers.plan import Plan

N = 60
PATHS = [f"{number:02}.png" for number in range(N)]
Y = np.arange(N) % 2
HERE = "2 cores of Some Make"


def planned(root, groups=None, metric="accuracy"):
    table = pd.DataFrame({"path": PATHS, "label": ["ab"[y] for y in Y], "sha256": PATHS, "group": groups})
    manifest = Manifest(table.assign(split=None), root, Targets(("a", "b")), pd.DataFrame())
    settings = {"backbones": ["ncnn"], "evaluation": {"metric": metric}, "comparison": {"n_draws": 1000}}
    everything, none = np.arange(N), np.array([], dtype=np.int64)
    rows = (FoldRows(none, none, everything, none),)
    experiment = Experiment.model_validate({"name": "a", "data": {"path": root}} | settings)
    return Plan(experiment, manifest, np.zeros((N, 1), int), rows, {}, "f" * 64, root, root)


def result(name, n_wrong, fold=0):
    """Give a backbone whose first `n_wrong` images are decided wrongly."""
    decided = np.where(np.arange(N) < n_wrong, 1 - Y, Y)
    probabilities = np.where(np.eye(2)[decided] == 1, 0.8, 0.2)
    table = predictions_table(PATHS, PATHS, fold, Y, probabilities, Targets(("a", "b")), decided)
    return BackboneResult(name, name, {}, (FoldResult(name, fold, "completed", name),), lambda: table, {})


def cost(milliseconds=None, gflops=None, **others):
    timed = {} if milliseconds is None else {"images_per_second_1": 500 / milliseconds}
    timed |= {} if milliseconds is None else {"images_per_second_32": 1000 / milliseconds}
    worked = {} if gflops is None else {"gflops": gflops, "parameters": 1_234_567.0, "model_mb": 5.0}
    return Cost(timed | worked | others, HERE, "CPU" if timed else "")


def told(root, wrong, costs, **changes):
    plan = planned(root, **changes)
    results = {name: result(name, n) for name, n in sorted(wrong.items(), key=lambda item: item[1])}
    return cost_section(Evidence(plan, results, lambda _run, name: root / name, costs))


THREE = {"best": 3, "nearly": 4, "poor": 30, "slow": 12}
PRICES = {
    "best": cost(20, 8.0, train_seconds=12.0, peak_memory_mb=1500.0),
    "nearly": cost(5, 2.0, train_seconds=3.0),
    "poor": cost(0.1, 0.05, train_seconds=1.0),
    "slow": cost(30, 9.0, train_seconds=9.0),
}


def test_the_front_is_told_with_what_the_test_says_of_it(tmp_path):
    section = told(tmp_path, THREE, PRICES)
    first, worse, alike, machine, *rest = section.sentences
    assert "poor, nearly and best are on the front, the fastest first" in first
    assert "no other backbone is at least as good and as fast" in first
    assert "poor is shown to be worse than best" in worse
    assert "An image takes nearly 25 % of the time that it takes best" in alike
    assert "do not show that best is better in accuracy; nor do they show that the two are equal" in alike
    assert HERE in machine
    assert "vary" in machine
    assert len(rest) == 2


def test_the_table_holds_the_scores_and_every_figure(tmp_path):
    [table] = told(tmp_path, THREE, PRICES).tables
    frame = table.frame.set_index("backbone")
    assert list(frame.index) == ["best", "nearly", "slow", "poor"]
    assert frame["on_front"].tolist() == [True, True, False, True]
    assert frame["score"].tolist() == pytest.approx([57 / 60, 56 / 60, 48 / 60, 30 / 60])
    assert (frame["low"] < frame["score"]).all()
    assert (frame["score"] < frame["high"]).all()
    assert frame["milliseconds_1"].tolist() == pytest.approx([40, 10, 60, 0.2])
    assert frame["train_seconds"].tolist() == [12, 3, 9, 1]
    assert frame["peak_memory_mb"].isna().tolist() == [False, True, True, True]
    assert table.titles["score"] == "accuracy"
    assert table.formats["parameters"](1_234_567.0) == "1,234,567"
    assert [table.formats["gflops"](value) for value in (0.05, 23.45, 1234.5)] == ["0.05", "23.4", "1,234"]
    assert set(table.titles) <= set(table.frame)


def test_where_a_smaller_score_is_better_the_front_turns_round(tmp_path):
    section = told(tmp_path, {"good": 3, "bad": 20}, {"good": cost(5, 1), "bad": cost(9, 1)}, metric="log_loss")
    assert "good stands alone on the front: no other backbone is better, and none is faster" in section.sentences[0]


def test_under_twenty_groups_nothing_is_said_of_a_test(tmp_path):
    groups = [f"patient {number % 10}" for number in range(N)]
    section = told(tmp_path, THREE, PRICES, groups=groups)
    assert "on the front" in section.sentences[0]
    assert not any("shown to be" in said or "do not show" in said for said in section.sentences)


def test_without_speeds_the_work_is_what_counts_and_the_gap_is_named(tmp_path):
    costs = {"best": cost(gflops=8.0), "nearly": cost(gflops=2.0), "poor": cost(), "slow": cost()}
    section = told(tmp_path, THREE, costs)
    assert "nearly and best are on the front, the lightest first" in section.sentences[0]
    assert "Speed and size of best, nearly, slow and poor could not be measured" in section.sentences[-1]
    assert "images_per_second_32" not in section.tables[0].frame
    assert not any("Speeds were measured" in said for said in section.sentences)
    drawn(section)


def test_one_backbone_alone_and_figures_of_fold_runs_alone(tmp_path):
    alone = told(tmp_path, {"one": 3}, {"one": cost(5, 1)})
    assert alone.sentences[0] == "There is one backbone alone, one; the table tells what it costs."
    drawn(alone)
    bare = told(tmp_path, {"one": 3, "two": 5}, {"one": cost(train_seconds=3.0), "two": cost(train_seconds=4.0)})
    assert "nothing is said of which one is worth it" in bare.sentences[0]
    assert bare.drawings == ()
    assert bare.tables[0].frame["train_seconds"].tolist() == [3, 4]


def test_backbones_without_a_fold_in_common_have_costs_and_no_front_of_both(tmp_path):
    plan = planned(tmp_path)
    results = {"one": result("one", 3), "two": result("two", 5, fold=1)}
    evidence = Evidence(plan, results, lambda _run, name: tmp_path / name, {"one": cost(5, 1), "two": cost(4, 2)})
    section = cost_section(evidence)
    frame = section.tables[0].frame.set_index("backbone")
    assert np.isnan(frame.loc["two", "score"])
    assert frame.loc["two", "on_front"] is None
    assert frame["gflops"].tolist() == [1, 2]


def test_without_costs_there_is_no_such_part(tmp_path):
    assert told(tmp_path, THREE, {}) is None
    assert told(tmp_path, {"one": 3}, {"one": cost()}) is None


def drawn(section):
    [drawing] = section.drawings
    file = io.BytesIO()
    figure = drawing.draw()
    save(figure, file)
    return figure, Image.open(file)


def test_the_plot_shows_every_backbone_with_its_interval_on_both_axes(tmp_path):
    section = told(tmp_path, THREE, PRICES)
    figure, picture = drawn(section)
    assert picture.width > 600
    time, work = figure.axes
    for axes, costs in ((time, [20, 5, 30, 0.1]), (work, [8, 2, 9, 0.05])):
        points = [container.lines[0].get_xydata()[0] for container in axes.containers]
        assert sorted(point[0] for point in points) == pytest.approx(sorted(costs))
        assert all(container.lines[1] for container in axes.containers)
        low, high = axes.get_xlim()
        assert low < min(costs) < max(costs) < high
    [front] = [line for line in time.lines if len(line.get_xydata()) == 3]
    assert front.get_xdata().tolist() == pytest.approx([0.1, 5, 20])
