"""Findings, doubts and figures of where backbones look, in words and as records."""

from __future__ import annotations

import json
from dataclasses import replace

import pandas as pd
import pytest

from tasks.comparison.looks.content import FINDINGS, Seen, experiment_looks, notes_of, see
from tasks.comparison.looks.fold_explanations import FoldExplanations
from tasks.comparison.looks.looking import Looks, look
from tasks.comparison.looks.told import doubts, look_findings, look_rows, share_of_time
from tasks.explanation.limits import Limits
from tasks.tracking.records import File, Metrics, Text
from tests.support.explained_runs import ExplainedRuns

FAITHFUL = {"overall": 0.5, "overall_random": 0.0, "overall_gaussian": 0.1, "sanity_rank": 0.05, "noise": 0.9}
BLIND = FAITHFUL | {"overall": 0.0, "sanity_rank": 0.95}


@pytest.fixture
def runs(tmp_path):
    """Both backbones look at the corners of class b; the maps of one of them are not to be believed."""
    made = ExplainedRuns(tmp_path, n_images=60, settings={"methods": ["gradcam", "guided"]})
    for fold in (0, 1):
        made.write("ncnn", fold, corners=("b",), truth=FAITHFUL)
        made.write("vgg16", fold, corners=("b",), truth=BLIND)
    return made


def seen_by(runs, share=0.2):
    logged = {name: FoldExplanations.of(runs.result(name, [0, 1]), runs.fetch) for name in ("ncnn", "vgg16")}
    looks = {name: look(runs.plan, own, seconds_share=share) for name, own in logged.items()}
    return see(runs.plan, looks, logged, {"ncnn": 10.0, "vgg16": 30.0})


def test_a_shortcut_of_several_backbones_is_one_finding(runs):
    found = look_findings(seen_by(runs).looks)
    assert {finding.code for finding in found} == {"explain.border", "explain.corner"}
    corner = next(finding for finding in found if finding.code == "explain.corner")
    assert corner.message.startswith("ncnn and vgg16 look at the corners of the images of b: ")
    assert "most at the top left one" in corner.message
    assert "Grad-CAM" in corner.message
    assert corner.message.endswith("It is 16 % of the area.")
    assert len(corner.images) == 20


@pytest.mark.parametrize(("off", "codes"), [(["explain.corner"], {"explain.border"}), (["explain"], set())])
def test_findings_can_be_turned_off(runs, off, codes):
    assert {finding.code for finding in look_findings(seen_by(runs).looks, off)} == codes


def test_a_method_that_fails_sanity_checks_is_no_witness(runs):
    own = seen_by(runs).looks["ncnn"]
    assert own.found["guided"]
    assert look_findings({"ncnn": Looks(found={"guided": own.found["guided"]})}) == []


def test_doubts_name_the_methods_and_backbones_that_did_not_pass_a_check(runs):
    told = doubts(seen_by(runs).looks)
    assert len(told) == 2
    assert "Grad-CAM of vgg16; Guided back-propagation of vgg16." in told[0]
    assert told[1].startswith("Guided back-propagation fails sanity checks by construction")
    assert doubts({"ncnn": Looks()}) == []


def test_the_share_of_time_is_weighted_by_the_fold_runs_seconds():
    looks = {"a": Looks(seconds_share=0.5), "b": Looks(seconds_share=0.1), "c": Looks()}
    assert "took 20 % of" in share_of_time(looks, {"a": 10, "b": 30, "c": 1000})
    assert share_of_time({"c": Looks()}, {"c": 10}) == ""
    assert "below 1 %" in share_of_time({"a": Looks(seconds_share=0.001)}, {"a": 10})


def test_more_time_than_the_bound_on_work_is_explained():
    looks = {"a": Looks(seconds_share=0.5)}
    told = share_of_time(looks, {"a": 10}, 0.25)
    assert told.startswith(
        "Measuring how far to believe the maps took 50 % of the fold runs' time. It is more than the 25 %"
    )
    assert "four images a fold" in told
    for bound in (0.5, 0.9, None):
        assert share_of_time(looks, {"a": 10}, bound).endswith("time.")


def test_maps_that_are_too_coarse_are_one_finding_with_advice():
    looks = {
        "inceptionv3": Looks(limits={"gradcam": Limits(1, 1, 0.0), "hirescam": Limits(1, 1, 0.0)}),
        "resnet50": Looks(limits={"gradcam": Limits(3, 3, 0.3), "saliency": Limits(96, 96, 0.0)}),
        "ncnn": Looks(limits={"gradcam": Limits(11, 11, 0.0)}),
    }
    [found] = look_findings(looks)
    assert (found.code, found.severity) == ("explain.coarse", "warn")
    assert found.message == (
        "Maps are too coarse to show where a model looks: inceptionv3 1 × 1 places by Grad-CAM and HiResCAM; resnet50 "
        "3 × 3 places by Grad-CAM."
    )
    assert "model.size" in found.advice
    assert look_findings(looks, ["explain.coarse"]) == look_findings({"ncnn": looks["ncnn"]}) == []


def test_blank_and_coarse_maps_are_told_in_the_reports_row(runs):
    seen = seen_by(runs)
    looks = {"vgg16": replace(seen.looks["vgg16"], verdicts={}, limits={"gradcam": Limits(3, 3, 0.4)})}
    assert look_rows(looks, seen.between)[0].verdict == (
        "Not measured. A map has 3 × 3 places only. 40 % of the maps are blank."
    )


def test_rows_have_figures_with_intervals_and_dashes(runs):
    seen = seen_by(runs)
    rows = look_rows(seen.looks, seen.between)
    assert [(row.backbone, row.method) for row in rows] == [
        (name, title) for name in ("ncnn", "vgg16") for title in ("Grad-CAM", "Guided back-propagation")
    ]
    first = rows[0]
    assert first.overall == ("0.50", "0.50 to 0.50")
    assert first.controls == ("0.00", "0.10")
    assert first.sanity[0] == "0.05"
    assert first.holdout == ("–", "")
    assert float(first.others[0]) > 0.9
    assert (first.hit, first.inside) == ("–", ("–", ""))
    assert [row.doubted for row in rows] == [False, True, True, True]


def test_the_experiments_run_gets_tables_metrics_and_findings(runs):
    seen = seen_by(runs)
    records = list(experiment_looks(seen, runs.folder))
    metrics = {
        name: value for record in records if isinstance(record, Metrics) for name, value in record.values.items()
    }
    assert metrics["ncnn/explain/gradcam/overall"] == pytest.approx(0.5, abs=0.01)
    assert metrics["vgg16/explain/guided/backbone_agreement"] > 0.9
    assert not [name for name in metrics if name.endswith(("_low", "_high"))]
    assert {record.path.name for record in records if isinstance(record, File)} == {
        "where_it_looks.csv",
        "agreement.csv",
    }
    table = pd.read_csv(runs.folder / "where_it_looks.csv")
    assert table.columns[:4].tolist() == ["backbone", "method", "class", "outcome"]
    assert table.query("`class` == 'b' and outcome == 'all'")["corner"].min() > 0.5
    [text] = [record for record in records if isinstance(record, Text)]
    assert text.name == FINDINGS
    told = json.loads(text.content)
    assert told["findings"][0]["code"] == "explain.border"
    assert told["notes"][-1].startswith("Measuring how far")


def test_what_is_told_is_found_again_and_nothing_where_there_is_none(tmp_path):
    (tmp_path / FINDINGS).write_text('{"notes": ["look here"]}', encoding="utf-8")
    assert notes_of("run", lambda _, artifact: tmp_path / artifact) == ("look here",)
    assert notes_of("run", lambda _, artifact: tmp_path / "no" / artifact) == ()


def test_backbones_of_which_nothing_is_logged_leave_findings_that_say_so(tmp_path):
    runs = ExplainedRuns(tmp_path)
    logged = {"ncnn": FoldExplanations({}, runs.fetch)}
    seen = see(runs.plan, {"ncnn": Looks()}, logged, {"ncnn": 0.0})
    records = list(experiment_looks(seen, tmp_path))
    assert [type(record) for record in records] == [Text]
    assert (seen.warnings, seen.notes) == ([], [])
    assert Seen().warnings == []
