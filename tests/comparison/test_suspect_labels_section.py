"""The labels worth a second look: the table, the file for annotators, the sheet, and what is said of them."""

from __future__ import annotations

import io
from datetime import date

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.comparison.ensembling.ensembles import average_backbones
from tasks.comparison.errors.suspect_labels import suspect_labels, suspects_by_chance
from tasks.comparison.errors.suspects_section import FILE, suspect_labels_section
from tasks.dataset.corrections import COLUMNS, Correction, read_corrections
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import decide
from tasks.evaluation.tables import predictions_table
from tests.support.made_evidence import made_evidence
from tests.support.pictured_evidence import MAPPED, pictured, write_explained

TWO = {"vgg16": 1.0, "ncnn": 1.0}


def oof(y_true, y_prob, targets):
    names = [f"{number:05}.png" for number in range(len(y_true))]
    several = targets.kind == "multilabel"
    y_pred = decide(y_prob, targets.kind)
    return predictions_table(
        names, names, 0, y_true, y_prob, targets, y_pred, np.full(y_prob.shape[1], 0.5) if several else None
    )


def test_the_suspects_are_those_of_the_mean_of_all_backbones(tmp_path):
    evidence = pictured(made_evidence(tmp_path, TWO, group_size=2))
    targets = evidence.plan.manifest.targets
    expected = suspect_labels(average_backbones(evidence.tables, targets), targets)
    section = suspect_labels_section(evidence)
    found = section.tables[0].frame
    pd.testing.assert_frame_equal(found[["path", "given", "suggested"]], expected[["path", "given", "suggested"]])
    assert section.metrics["suspect_labels/n"] == len(expected) > 5
    for row in found.itertuples():
        decided = [table.set_index("path").loc[row.path, "predicted"] for table in evidence.tables.values()]
        assert row.n_agree == decided.count(row.suggested)
    assert section.sentences[0].startswith(f"{len(expected)} labels of 240 (")
    assert "A suspect is no error" in " ".join(section.sentences)


def test_the_file_for_annotators_can_be_filled_in_and_read_back(tmp_path):
    evidence = pictured(made_evidence(tmp_path, TWO))
    section = suspect_labels_section(evidence)
    table = pd.read_csv(io.BytesIO(section.files[FILE]), encoding="utf-8-sig", dtype=str)
    assert tuple(table.columns) == COLUMNS
    assert table["path"].tolist() == section.tables[0].frame["path"].tolist()
    file = tmp_path / "filled.csv"
    table.assign(correct=table["suggested"], by="Ida", when="2026-03-31").to_csv(file, index=False)
    manifest = evidence.plan.manifest
    said = read_corrections([file], manifest.table, manifest.targets)
    assert {one.path: one.correct for one in said} == dict(zip(table["path"], table["suggested"], strict=True))


def test_what_somebody_has_settled_is_no_suspect_again(tmp_path):
    made = made_evidence(tmp_path, TWO)
    before = suspect_labels_section(pictured(made)).tables[0].frame
    first = before.iloc[0]
    said = [Correction(first["path"], first["given"], first["given"], "Ida", date(2026, 3, 31))]
    section = suspect_labels_section(pictured(made, corrections=said))
    assert section.tables[0].frame["path"].tolist() == before["path"].tolist()[1:]
    assert "1 image that `data.corrections` has settled would be listed too." in section.sentences


def test_only_backbones_with_all_their_folds_judge(tmp_path):
    evidence = pictured(made_evidence(tmp_path, TWO, missing={"vgg16": [1]}))
    section = suspect_labels_section(evidence)
    targets = evidence.plan.manifest.targets
    alone = suspect_labels(evidence.results["ncnn"].out_of_fold, targets)
    assert section.tables[0].frame["path"].tolist() == alone["path"].tolist()
    assert any(
        sentence == "Left out, since not all of their folds are finished: vgg16." for sentence in section.sentences
    )


def test_with_no_whole_backbone_the_folds_in_common_are_judged(tmp_path):
    evidence = pictured(made_evidence(tmp_path, TWO, missing={"vgg16": [1], "ncnn": [2]}))
    section = suspect_labels_section(evidence)
    assert set(section.tables[0].frame["fold"]) == {0}


def test_the_sheet_marks_nobody_wrong_and_shows_maps_where_there_are_any(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 1.0}))
    found = suspect_labels_section(evidence).tables[0].frame
    plain = np.asarray(Image.open(io.BytesIO(suspect_labels_section(evidence).pictures[0].png)).convert("RGB"))
    own = found.iloc[0]
    number = evidence.plan.manifest.classes.index(own["suggested"])
    write_explained(evidence, "vgg16", int(own["fold"]), {own["path"]: number})
    mapped = np.asarray(Image.open(io.BytesIO(suspect_labels_section(evidence).pictures[0].png)).convert("RGB"))
    assert not (plain == MAPPED).all(axis=2).any()
    assert (mapped == MAPPED).all(axis=2).sum() > 100 * 100
    assert not (mapped == (196, 68, 0)).all(axis=2).any()


def test_clean_labels_leave_no_table_no_file_and_no_sheet(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 1.0}, noise=0.0, spread=900.0))
    section = suspect_labels_section(evidence)
    assert section.sentences[0].startswith("None of 240 labels is suspect to vgg16; that does not show")
    assert (section.tables, section.pictures, dict(section.files)) == ((), (), {})


def test_a_class_of_few_images_is_told(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 1.0}, n=15, n_validation=4))
    assert "of these there are few: " in suspect_labels_section(evidence).sentences[-1]


@pytest.mark.parametrize(("kind", "classes"), [("multilabel", ("rust", "scab")), ("ordinal", ("0", "1", "2", "3"))])
def test_other_labels_and_repeats(tmp_path, kind, classes):
    evidence = pictured(made_evidence(tmp_path, TWO, kind=kind, classes=classes, n_repeats=2))
    section = suspect_labels_section(evidence)
    assert len(section.tables[0].frame) > 3
    assert len(section.pictures) == 1


def test_it_can_be_turned_off(tmp_path):
    assert suspect_labels_section(made_evidence(tmp_path, TWO, suspect_labels=False)) is None


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_right_labels_give_as_many_suspects_as_chance_says_however_sure_the_model_is(sharpness):
    random, targets, inside = np.random.default_rng(3), Targets(("a", "b", "c")), 0
    for seed in range(20):
        logits = random.normal(0, 2, (400, 3))
        prob = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        truth = (prob.cumsum(axis=1) < random.random((400, 1))).sum(axis=1)
        seen = np.exp(sharpness * logits)
        table = oof(truth, seen / seen.sum(axis=1, keepdims=True), targets)
        low, high = np.quantile(suspects_by_chance(table, targets, seed=seed), [0.025, 0.975])
        inside += low <= len(suspect_labels(table, targets)) <= high
    assert inside >= 17


def test_the_number_by_chance_depends_on_the_seed_alone():
    random, targets = np.random.default_rng(0), Targets(("rust", "scab"), "multilabel")
    prob = random.random((200, 2))
    table = oof((random.random((200, 2)) < prob).astype(int), prob, targets)
    first, again, other = (suspects_by_chance(table, targets, seed=seed) for seed in (1, 1, 2))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()
