from __future__ import annotations

import json

import pytest

from tasks.tracking.views import PREFIX, link, views_of, wanted_tags


@pytest.fixture
def views():
    return {view.key: view for view in views_of("balanced_accuracy", higher_is_better=True)}


def state_of(view):
    return json.loads(view.state())


def test_a_tag_holds_the_envelope_that_the_menu_reads_and_fits_into_a_tag(views):
    tags = wanted_tags(views.values(), {}, 1234)
    assert set(tags) == {f"{PREFIX}{key}" for key in views}
    for view in views.values():
        envelope = json.loads(tags[view.tag])
        assert envelope == {"name": view.name, "createdAt": 1234, "updatedAt": 1234, "state": view.state()}
        assert len(tags[view.tag]) < 5000
    assert len({view.name for view in views.values()}) == len(views)


def test_backbones_are_sorted_by_pooled_predictions_beside_the_mean_and_its_interval(views):
    state = state_of(views["foldcam-backbones"])
    assert state["searchFilter"] == "tags.`foldcam.level` = 'backbone'"
    assert (state["orderByKey"], state["orderByAsc"]) == ("metrics.`oof/balanced_accuracy`", False)
    cv = [f"metrics.`cv/balanced_accuracy_{part}`" for part in ("mean", "ci_low", "ci_high")]
    assert state["columnOrder"][:4] == ["metrics.`oof/balanced_accuracy`", *cv]
    assert state["selectedColumns"] == state["columnOrder"] == list(state["columnWidths"])


def test_where_less_is_better_the_smallest_comes_first():
    for view in views_of("log_loss", higher_is_better=False)[:2]:
        state = state_of(view)
        assert state["orderByAsc"] is True
        assert len(state["columnOrder"]) == len(set(state["columnOrder"]))


def test_charts_stand_in_the_views_own_section_each_under_a_name_of_its_own(views):
    for view in views.values():
        state = state_of(view)
        charts = state.get("compareRunCharts", [])
        assert len({chart["uuid"] for chart in charts}) == len(charts) == len(view.charts)
        if charts:
            [section] = state["compareRunSections"]
            assert {chart["metricSectionId"] for chart in charts} == {section["uuid"]}
    folds = state_of(views["foldcam-folds"])
    assert [chart["metricKey"] for chart in folds["compareRunCharts"] if chart["type"] == "LINE"] == [
        *("val/balanced_accuracy", "val/loss", "train/loss")
    ]
    assert folds["groupBy"]["groupByKeys"] == [{"mode": "param", "groupByData": "backbone"}]
    pictures = [chart for chart in state_of(views["foldcam-backbones"])["compareRunCharts"] if chart["type"] == "IMAGE"]
    assert [chart["imageKeys"] for chart in pictures] == [["contact_sheet"]]


def test_a_view_that_is_there_is_not_written_again_nor_one_that_people_have_changed(views):
    tags = wanted_tags(views.values(), {}, 1)
    assert wanted_tags(views.values(), tags, 2) == {}
    first, second = list(views.values())[:2]
    changed = json.loads(tags[first.tag]) | {"updatedAt": 9, "state": "{}"}
    present = tags | {first.tag: json.dumps(changed)}
    assert wanted_tags(views.values(), present, 2) == {}
    for damaged in ("", "no json", "[]", json.dumps({"name": second.name})):
        assert set(wanted_tags(views.values(), tags | {second.tag: damaged}, 2)) == {second.tag}


def test_a_view_of_another_metric_takes_its_place(views):
    tags = wanted_tags(views.values(), {}, 1)
    assert set(wanted_tags(views_of("roc_auc", higher_is_better=True), tags, 2)) == {
        f"{PREFIX}foldcam-backbones",
        f"{PREFIX}foldcam-folds",
        f"{PREFIX}foldcam-experiments",
    }


def test_links_lead_to_the_runs_page_as_a_table_or_as_charts(views):
    view = views["foldcam-folds"]
    assert link("7", view) == "#/experiments/7/runs?viewStateShareKey=foldcam-folds&workflowType=machine_learning"
    assert "&compareRunsMode=CHART&" in link("7", view, charts=True)
