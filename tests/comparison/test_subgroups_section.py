"""Metrics by subgroup: which columns, what is said of gaps, and how it looks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from tasks.comparison.subgroups.columns import check_columns, subgroup_columns
from tasks.comparison.subgroups.figure import subgroups_figure
from tasks.comparison.subgroups.findings import CODES
from tasks.comparison.subgroups.section import subgroups_section
from tasks.config import Experiment, InputError
from tasks.planning import check_settings, load_plan
from tests.support.images import write_classes
from tests.support.made_evidence import made_evidence
from tests.support.pictured_evidence import pictured

THREE = {"vgg16": 1.0, "resnet50": 1.0, "ncnn": 1.0}
N = 240


def images(n=40, group=None, **extra):
    table = pd.DataFrame({"label": ["a", "b"] * (n // 2), "declared_group": group}, index=range(n))
    return table.assign(**{f"extra.{name}": pd.Series(values, dtype=object) for name, values in extra.items()})


def alternating(*values, n=N):
    return [values[number % len(values)] for number in range(n)]


def table_of(section, name):
    return next(one for one in section.tables if one.name == name).frame


def test_all_columns_that_can_tell_something_are_taken():
    table = images(
        site=list("AABB") * 10,
        age=[str(20 + number) for number in range(40)],
        name=[f"image {number}" for number in range(40)],
        constant=["x"] * 40,
        diagnosis=["ill", "well"] * 20,
        blank=[None, ""] * 20,
    )
    found = subgroup_columns(None, table)
    assert list(found.values) == ["site", "age"]
    assert len(set(found.values["age"])) == 4
    assert found.like_labels == ("diagnosis",)


@pytest.mark.parametrize(("n_groups", "taken"), [(4, True), (20, False)])
def test_declared_groups_are_subgroups_where_there_are_few(n_groups, taken):
    table = images(group=[f"site {number // 2 % n_groups}" for number in range(40)])
    assert ("group" in subgroup_columns(None, table).values) is taken
    assert list(subgroup_columns(["group"], table).values) == ["group"]


def test_what_is_named_is_taken_whatever_it_holds_and_once():
    table = images(site=list("AABB") * 10, diagnosis=["ill", "well"] * 20)
    assert list(subgroup_columns(["diagnosis", "extra.diagnosis", "site"], table).values) == ["diagnosis", "site"]


def test_an_unknown_column_is_refused_with_the_nearest_one():
    with pytest.raises(InputError, match=r"comparison.subgroups: the data has no column 'sit'. Did you mean site\?"):
        check_columns(["sit"], images(site=list("AABB") * 10))
    with pytest.raises(InputError, match=r"no column 'group'. Only a table of images"):
        check_columns(["group"], images())


def test_an_unknown_column_is_refused_before_any_training(tmp_path, monkeypatch):
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path / "cache"))
    write_classes(tmp_path / "data", {"a": 6, "b": 6})
    settings = {"name": "x", "data": {"path": tmp_path / "data"}, "folds": {"n_splits": 2}, "backbones": ["ncnn"]}
    with pytest.raises(InputError, match=r"comparison.subgroups: the data has no column 'camera'"):
        load_plan(Experiment.model_validate(settings | {"comparison": {"subgroups": ["camera"]}}))
    rows = [f"{label}/{number:03d}.png,{label},{'AB'[number % 2]}" for label in "ab" for number in range(6)]
    (tmp_path / "data" / "train.csv").write_text("\n".join(["image,label,camera", *rows]) + "\n")
    settings["data"] = {"path": tmp_path / "data", "reader": "table"}
    plan = load_plan(Experiment.model_validate(settings | {"comparison": {"subgroups": ["camera"]}}))
    assert list(subgroup_columns(["camera"], plan.manifest.table).values) == ["camera"]


def test_each_subgroup_is_scored_on_its_own_images_by_all_backbones(tmp_path):
    site = alternating("A", "A", "B")
    evidence = pictured(made_evidence(tmp_path, THREE, group_size=3), site=site)
    section = subgroups_section(evidence)
    by_backbone = table_of(section, "subgroups_by_backbone")
    assert set(by_backbone["backbone"]) == set(THREE)
    of_path = dict(zip(evidence.plan.manifest.table["path"], site, strict=True))
    for row in by_backbone.itertuples():
        own = evidence.tables[row.backbone]
        inside = own[own["path"].map(of_path) == row.value]
        assert row.score == pytest.approx(balanced_accuracy_score(inside["true"], inside["predicted"]))
        assert row.low < row.score < row.high
        assert row.n_images == len(inside)
    best = next(iter(evidence.tables))
    shown = table_of(section, "subgroups_compared").iloc[0]
    first = by_backbone.iloc[0]
    assert shown[best] == f"{first['score']:.3f} ({first['low']:.3f} to {first['high']:.3f})"
    assert set(table_of(section, "subgroups")["metric"]) == {"balanced_accuracy", "log_loss"}


def with_gap(root, **changes):
    """Evidence in which the images of one site have labels that nobody can tell."""
    made = pictured(made_evidence(root, THREE, n=600, spread=5.0, **changes))
    guessed = np.random.default_rng(0).random(600) < 0.5
    own = next(iter(made.tables.values()))
    wrong = own["true"] != own["predicted"]
    site = np.where(
        wrong, np.where(guessed, "poor", "good"), np.where(np.random.default_rng(1).random(600) < 0.1, "poor", "good")
    )
    of_path = dict(zip(own["path"], site, strict=True))
    return pictured(made, site=[of_path[path] for path in made.plan.manifest.table["path"]])


def test_a_gap_is_found_told_and_drawn(tmp_path):
    section = subgroups_section(with_gap(tmp_path))
    assert section.sentences[0].endswith("does worse, beyond chance, where `site` is poor.")
    assert {finding.code for finding in section.findings} == {"subgroups.gap"}
    assert section.metrics["subgroups/n_gaps"] >= 1
    colours = {line.get_color() for line in section.drawings[0].draw().axes[0].lines}
    assert "#C44400" in colours


def test_findings_can_be_turned_off_like_those_of_the_audit(tmp_path):
    evidence = with_gap(tmp_path)
    evidence.plan.experiment.data.audit.off.append("subgroups")
    check_settings(evidence.plan.experiment)
    assert subgroups_section(evidence).findings == ()


def test_no_gap_is_no_proof_that_there_is_none(tmp_path):
    section = subgroups_section(pictured(made_evidence(tmp_path, THREE), site=alternating("A", "B")))
    assert "that does not show that there is none" in section.sentences[0]
    assert "corrected for all subgroups and metrics" in section.sentences[1]
    assert section.findings == ()


def test_few_groups_are_told_and_drawn_hollow(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 1.0}, group_size=60), site=alternating("A", "B"))
    section = subgroups_section(evidence)
    assert "cannot be told: too few groups" in section.sentences[0]
    assert [finding.code for finding in section.findings] == ["subgroups.few", "subgroups.few"]
    lines = section.drawings[0].draw().axes[0].lines
    assert [line.get_markerfacecolor() for line in lines if line.get_marker() == "o"] == ["white"] * 6


def test_without_columns_or_folds_there_is_nothing_to_tell(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 1.0}))
    assert subgroups_section(evidence) is None
    assert subgroups_section(pictured(evidence, site=alternating("A"))) is None


@pytest.mark.parametrize(("kind", "classes"), [("multilabel", ("rust", "scab")), ("ordinal", ("0", "1", "2"))])
def test_other_labels_repeats_and_missing_folds(tmp_path, kind, classes):
    made = made_evidence(tmp_path, THREE, kind=kind, classes=classes, n_repeats=2, missing={"vgg16": [0]})
    section = subgroups_section(pictured(made, site=alternating("A", "B", ""), age=alternating(*range(30, 90))))
    assert table_of(section, "subgroups")["score"].notna().all()


def test_the_figure_has_a_row_a_subgroup_with_its_number_of_images(tmp_path):
    section = subgroups_section(pictured(made_evidence(tmp_path, THREE), **{"$ite_1": alternating("A", "B")}))
    axes = section.drawings[0].draw().axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [r"\$ite_1", "A  (120)", "B  (120)"]
    scores = table_of(section, "subgroups")
    assert subgroups_figure(scores[scores["metric"] == "log_loss"], "vgg16", None).axes[0].get_xlabel() == "log loss"


def test_the_codes_are_those_of_the_docs():
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert dict(re.findall(r"^\| `(subgroups\.\w+)` \| (.+) \|$", page, re.MULTILINE)) == CODES


def test_under_twenty_groups_no_gap_is_told_as_in_the_ranking(tmp_path):
    made = made_evidence(tmp_path, {"vgg16": 1.0}, n=240, group_size=15)
    own = made.tables["vgg16"]
    wrong = own.groupby(made.groups.reindex(own["path"]).to_numpy())[["true", "predicted"]].apply(
        lambda rows: (rows["true"] != rows["predicted"]).mean()
    )
    poor = set(wrong.sort_values().index[8:])
    site = ["poor" if group in poor else "good" for group in made.plan.manifest.table["group"]]
    section = subgroups_section(pictured(made, site=site))
    assert "cannot be told: too few groups" in section.sentences[0]
    assert section.findings == ()
    assert table_of(section, "subgroups")["p"].isna().all()
