from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from tasks.comparison.pages.markdown import escaped, fitted, markdown_table
from tasks.comparison.pages.notes import Links, backbone_note, experiment_note, overview_note, ranking_table
from tasks.comparison.results import BackboneResult, FoldResult
from tasks.comparison.section import Section, Table
from tasks.comparison.summary import Summary
from tasks.config import Experiment
from tasks.tracking.pages import ROOM
from tasks.tracking.views import views_of

LINKS = Links("7", "top")
VIEWS = views_of("accuracy", higher_is_better=True)
FILES = {"report": "report.html", "contact sheet": "contact_sheet.png"}


@pytest.fixture
def plan():
    evaluation = {"metric": "accuracy"}
    names = ["vgg16", "ncnn"]
    experiment = Experiment(
        name="eyes", description="What for.", data={"path": "x"}, backbones=names, evaluation=evaluation
    )
    return SimpleNamespace(experiment=experiment, n_folds=2, n_repeats=1)


def result(name, *values):
    known = [value for value in values if value is not None]
    mean = sum(known) / len(known)
    summary = Summary(mean, 0.1, mean - 0.2, mean + 0.2, list(values))
    folds = tuple(
        FoldResult(name, number, "failed" if value is None else "completed", f"{name}{number}")
        for number, value in enumerate(values)
    )
    return BackboneResult(name, f"run-{name}", {"accuracy": summary}, folds, pd.DataFrame, {"accuracy": mean})


@pytest.fixture
def results():
    return {"vgg16": result("vgg16", 0.5, 0.75), "ncnn": result("ncnn", 0.75, None)}


@pytest.fixture
def statistics():
    frame = pd.DataFrame({"backbone": ["ncnn", "vgg16"], "accuracy": [0.75, 0.625], "letters": ["a", "a"]})
    table = Table("ranking", "", frame, {"backbone": "backbone", "accuracy": "accuracy", "letters": "letters"})
    return Section("statistics", "Ranking", ("ncnn leads, but not beyond chance.", "more"), tables=(table,))


def lines(text):
    return [line for line in text.replace("&nbsp;", "").splitlines() if line]


def test_the_experiments_note_begins_with_the_answer_and_the_ranking(plan, results, statistics):
    errors = Section("errors", "Errors", ("3 of 10 images are wrong.", "more"))
    told = experiment_note(plan, results, ["ncnn", "vgg16"], [statistics, errors], ["Few images."], FILES, LINKS)
    shown = lines(told)
    assert shown[0] == "**ncnn leads, but not beyond chance.**"
    assert shown[1:5] == [
        "| backbone | accuracy | letters |",
        "|:--|--:|:--|",
        "| ncnn | 0.750 | a |",
        "| vgg16 | 0.625 | a |",
    ]
    assert shown[5:8] == ["- 3 of 10 images are wrong.", "**Before you rely on this**", "- Few images."]
    assert "[report](#/experiments/7/runs/top/artifacts/report.html?" in told
    assert "[ncnn](#/experiments/7/runs/run-ncnn?" in told
    assert "What for." in told
    assert told.endswith("(get-artifact?path=contact_sheet.png&run_uuid=top)")


def test_without_a_part_that_ranks_the_note_ranks_by_means_over_folds(plan, results):
    table = ranking_table(plan, results, ["ncnn", "vgg16"], [])
    assert table.frame["backbone"].tolist() == ["ncnn", "vgg16"]
    assert table.frame["folds"].tolist() == ["1/2", "2/2"]
    told = experiment_note(plan, results, ["ncnn", "vgg16"], [], [], {}, LINKS)
    assert "ncnn has the highest mean accuracy: 0.750" in lines(told)[0]
    assert "| vgg16 | 0.625 ± 0.100 | 0.425 to 0.825 | 2/2 |" in lines(told)
    assert "contact_sheet" not in told
    assert "rely" not in told


def test_a_backbones_note_has_its_figures_its_place_and_what_parts_have_measured(plan, results):
    frame = pd.DataFrame({"backbone": ["vgg16", "ncnn"], "speed": [10.0, 20.0]})
    cost = Section("cost", "Cost", tables=(Table("cost", "", frame, {"backbone": "backbone", "speed": "images/s"}),))
    told = backbone_note(plan, results["ncnn"], ["ncnn", "vgg16"], [cost], FILES, LINKS)
    assert lines(told)[0] == (
        "**ncnn: accuracy 0.750 ± 0.100 over folds, 95\u00a0% interval 0.550 to 0.950.** Ranked 1 of 2; "
        "1 of 2 folds are done."
    )
    assert "| accuracy | 0.750 ± 0.100 | 0.550 to 0.950 | 0.750 |" in lines(told)
    assert lines(told)[4:7] == ["| images/s |", "|--:|", "| 20.000 |"]
    assert "[report](#/experiments/7/runs/top/artifacts/report.html" in told
    assert "[contact sheet](#/experiments/7/runs/run-ncnn/artifacts/contact_sheet.png" in told
    alone = backbone_note(plan, results["ncnn"], ["ncnn"], [], {}, LINKS)
    assert "The only backbone; 1 of 2 folds are done." in alone


def test_the_overview_links_each_view_and_the_newest_run(plan):
    told = overview_note(plan, "", VIEWS, LINKS)
    assert lines(told)[0] == "What for."
    assert all(f"[{view.name}](#/experiments/7/runs?viewStateShareKey={view.key}" in told for view in VIEWS)
    assert told.count("compareRunsMode=CHART") == sum(bool(view.charts) for view in VIEWS) > 0
    assert "[this run](#/experiments/7/runs/top?" in told
    after = overview_note(plan, "**a leads.**\n\n| table |", VIEWS, LINKS)
    assert lines(after)[0] == "**a leads.**"
    assert lines(after)[-1] == "| table |"


def test_what_has_a_meaning_in_markdown_is_shown_as_it_is():
    assert escaped("a_b *c* | <d>\n[e](f) `g`") == r"a\_b \*c\* \| \<d\> \[e\](f) \`g\`"
    table = Table("t", "", pd.DataFrame({"a": ["x|y", None], "b": [1.5, float("nan")]}), {"a": "a", "b": "b_c"})
    assert lines(markdown_table(table)) == [r"| a | b\_c |", "|:--|--:|", r"| x\|y | 1.500 |", "| – | – |"]
    assert markdown_table(Table("t", "", pd.DataFrame({"a": [1]}), {})) == ""


def test_long_tables_are_cut_and_say_so():
    frame = pd.DataFrame({"a": range(40)})
    assert lines(markdown_table(Table("t", "", frame, {"a": "a"})))[-1] == "… and 28 more"


def test_a_note_that_is_too_long_keeps_what_comes_first(plan, results, statistics):
    assert fitted(["a" * 10, "", "b" * 10, "c"], 24) == f"{'a' * 10}\n\n{'b' * 10}"
    many = [f"warning {number}" for number in range(9)]
    told = experiment_note(plan, results, ["ncnn", "vgg16"], [statistics], many, FILES, LINKS)
    assert "- 3 more in the report" in lines(told)
    plan.experiment = plan.experiment.model_copy(update={"description": "x" * ROOM})
    cut = experiment_note(plan, results, ["ncnn", "vgg16"], [statistics], many, FILES, LINKS)
    assert len(cut) <= ROOM
    assert lines(cut)[0] == lines(told)[0]
    assert "xxx" not in cut
