"""What the backbones get wrong: the surest mistakes, confused classes, and what all get wrong."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.comparison.errors.mistakes import COLUMNS, confident_mistakes
from tasks.comparison.errors.section import _rare, _shared_told, errors_section
from tasks.comparison.errors.shared_errors import SharedErrors
from tasks.dataset.targets import Targets
from tasks.evaluation.outputs import decide
from tasks.evaluation.tables import predictions_table
from tasks.explanation.drawing import MARKS
from tests.support.made_evidence import made_evidence
from tests.support.pictured_evidence import MAPPED, pictured, write_explained

ANIMALS = Targets(("cat", "dog"))
LEAVES = Targets(("rust", "scab"), "multilabel", none_label="healthy")


def table(y_true, y_prob, targets, thresholds=None):
    names = [f"{number}.png" for number in range(len(y_true))]
    y_pred = decide(y_prob, targets.kind, 0.5 if thresholds is None else thresholds)
    return predictions_table(names, names, 0, np.array(y_true), y_prob, targets, y_pred, thresholds)


def shown(section, name):
    return next(one for one in section.tables if one.name == name).frame


def test_mistakes_are_told_surest_first_and_what_is_right_is_not():
    prob = np.array([[0.9, 0.1], [0.3, 0.7], [0.02, 0.98], [0.6, 0.4], [0.3, 0.7]])
    found = confident_mistakes(table([0, 0, 0, 1, 0], prob, ANIMALS), ANIMALS)
    assert tuple(found.columns) == COLUMNS
    assert found["path"].tolist() == ["2.png", "1.png", "4.png", "3.png"]
    assert found["confidence"].tolist() == [0.98, 0.7, 0.7, 0.6]
    assert found["label"].tolist() == ["dog", "dog", "dog", "cat"]
    assert (found["probability"] == found["confidence"]).all()


def test_with_several_labels_the_surest_wrong_answer_of_an_image_is_told():
    prob = np.array([[0.9, 0.05], [0.2, 0.1], [0.1, 0.8]])
    found = confident_mistakes(table([[0, 1], [0, 0], [0, 1]], prob, LEAVES, np.array([0.5, 0.5])), LEAVES)
    assert found["path"].tolist() == ["0.png"]
    assert found.iloc[0][["label", "probability", "confidence"]].tolist() == ["scab", 0.05, 0.95]


def test_no_mistake_is_an_empty_table_of_the_same_columns():
    found = confident_mistakes(table([0, 1], np.eye(2), ANIMALS), ANIMALS)
    assert tuple(found.columns) == COLUMNS
    assert not len(found)


def test_the_section_counts_what_is_wrong_and_shows_it(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 1.0, "resnet50": 1.0, "ncnn": 1.0}, n=150, group_size=3))
    best = next(iter(evidence.tables))
    own = evidence.tables[best]
    wrong = own[own["true"] != own["predicted"]]
    section = errors_section(evidence)
    assert set(shown(section, "mistakes")["path"]) == set(wrong["path"])
    assert section.metrics["errors/n_wrong"] == len(wrong)
    assert section.sentences[0].startswith(f"{best}, the best backbone, gets {len(wrong)} of 150 images wrong (")
    all_wrong = set.intersection(*(set(t.loc[t["true"] != t["predicted"], "path"]) for t in evidence.tables.values()))
    assert section.metrics["errors/n_wrong_by_all"] == len(all_wrong)
    shares = [(t["true"] != t["predicted"]).mean() for t in evidence.tables.values()]
    assert section.metrics["errors/n_wrong_by_all_expected"] == pytest.approx(150 * np.prod(shares))
    assert f"{len(all_wrong)} images are wrong for all 3 backbones" in section.sentences[-1]
    pairs = shown(section, "confused_pairs").iloc[0]
    confused = (own["true"] == pairs["true"]) & (own["predicted"] == pairs["predicted"])
    assert pairs["n_confused"] == confused.sum()
    assert pairs["low"] < pairs["share"] < pairs["high"]


def test_an_image_stands_with_its_map_where_there_is_one_and_alone_where_there_is_none(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 1.0}, n=120))
    own = evidence.tables["vgg16"]
    wrong = own[own["true"] != own["predicted"]]
    plain = Image.open(io.BytesIO(errors_section(evidence).pictures[0].png))
    classes = list(evidence.plan.manifest.classes)
    for fold in range(3):
        of_fold = wrong[wrong["fold"] == fold]
        write_explained(
            evidence,
            "vgg16",
            fold,
            {path: classes.index(c) for path, c in zip(of_fold.path, of_fold.predicted, strict=True)},
        )
    mapped = Image.open(io.BytesIO(errors_section(evidence).pictures[0].png))
    counts = [(np.asarray(picture.convert("RGB")) == MAPPED).all(axis=2).sum() for picture in (plain, mapped)]
    assert counts[0] == 0
    assert counts[1] > 12 * 120 * 120
    wrong_colour = (np.asarray(plain.convert("RGB")) == MARKS[False][2]).all(axis=2).sum()
    assert wrong_colour > 0


def test_errors_that_have_nothing_to_do_with_each_other_are_not_called_hard_images(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 1.0, "ncnn": 1.0}, n=300, noise=60.0))
    assert errors_section(evidence).sentences[-1].endswith("which does not differ beyond chance.")


def test_one_backbone_alone_and_no_mistake_at_all(tmp_path):
    evidence = pictured(made_evidence(tmp_path, {"vgg16": 0.01}, n=60, noise=0.0, spread=900.0))
    section = errors_section(evidence)
    assert section.sentences == ("vgg16 gets 0 of 60 images wrong (0.0 %, 95 % interval 0.0 to 6.0 %).",)
    assert not section.tables
    assert not section.pictures


@pytest.mark.parametrize(("kind", "classes"), [("multilabel", ("rust", "scab", "mould")), ("ordinal", ("0", "1", "2"))])
def test_other_labels_repeats_and_missing_folds(tmp_path, kind, classes):
    made = made_evidence(
        tmp_path, {"vgg16": 1.0, "ncnn": 2.0}, kind=kind, classes=classes, n=90, n_repeats=2, missing={"ncnn": [1, 4]}
    )
    section = errors_section(pictured(made))
    assert {table.name for table in section.tables} == {"mistakes", "confused_pairs", "shared_errors"}
    assert len(section.pictures) == 1


def test_a_handful_of_groups_gives_shares_without_intervals(tmp_path):
    section = errors_section(pictured(made_evidence(tmp_path, {"vgg16": 1.0, "ncnn": 1.0}, n=90, group_size=30)))
    assert "too few groups for an interval" in section.sentences[0]
    assert "cannot be told whether that is more than chance" in section.sentences[-1]


def test_one_image_that_two_get_wrong_is_not_called_hard():
    """Where 0.17 such images are to be expected, one is there by chance in one case of six."""
    one = np.arange(240) == 7
    shared = SharedErrors(pd.DataFrame({"path": ["7.png"], "n_wrong": [2]}), 2, 240, 0.17)
    assert _shared_told(shared, _rare(one, None)).endswith("which does not differ beyond chance.")
    assert "are hard for all" in _shared_told(shared, _rare(np.arange(240) < 3, None))


def test_under_twenty_groups_no_image_is_called_hard():
    groups = (np.arange(190) // 10).astype(str).astype(object)
    shared = SharedErrors(pd.DataFrame({"path": ["7.png"] * 60, "n_wrong": [2] * 60}), 2, 190, 0.1)
    assert "cannot be told" in _shared_told(shared, _rare(np.arange(190) % 3 == 0, groups))
