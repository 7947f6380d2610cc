from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.config import Data, LabelRule
from tasks.dataset.audit.findings import Subject
from tasks.dataset.audit.hidden_groups import group_findings
from tasks.dataset.audit.shortcuts import PERMUTATIONS, rule_score, shortcut_findings
from tasks.dataset.targets import Targets

N = 120


def subject_of(table_of, rows, part=None, size=lambda *_: (64, 64), targets=None):
    manifest = table_of(rows, targets=targets)
    for place, label in enumerate(manifest.table["label"]):
        manifest.table.loc[place, ["width", "height"]] = size(place, label)
    part = np.arange(len(rows)) % 4 if part is None else part
    return Subject(
        manifest,
        manifest.table.assign(part=part),
        np.array(part)[:, None],
        0,
        Data(path="."),
        np.zeros(len(rows), dtype=bool),
    )


def shortcuts(subject, colour=True, rules=()):
    facts = pd.DataFrame({"colour": np.broadcast_to(colour, len(subject.table))})
    data = Data(path=".", labels={"rules": list(rules)})
    subject = replace(subject, manifest=replace(subject.manifest, facts=facts), data=data)
    return {finding.code: finding for finding in shortcut_findings(subject)}


def labelled(name="{number:04d}.png"):
    labels = ["cat" if value else "dog" for value in np.random.default_rng(1).random(N) < 0.4]
    return [{"label": label, "path": name.format(number=number, label=label)} for number, label in enumerate(labels)]


def test_data_without_shortcuts_gives_no_findings(table_of):
    random = np.random.default_rng(2)
    subject = subject_of(table_of, labelled(), size=lambda *_: tuple(random.integers(60, 90, 2)))
    assert shortcuts(subject) == {}
    assert list(group_findings(subject)) == []


@pytest.mark.parametrize(
    "size",
    [
        lambda number, label: (64 + number % 7, 48 if label == "cat" else 52),
        lambda number, label: (64 + number, (64 + number) * (3 if label == "cat" else 2)),
    ],
)
def test_a_class_told_from_the_size_or_the_shape_is_warned_of(table_of, size):
    found = shortcuts(subject_of(table_of, labelled(), size=size))
    assert set(found) == {"labels.shortcut_size"}
    assert found["labels.shortcut_size"].severity == "warn"
    assert "accuracy of 1.00" in found["labels.shortcut_size"].message


def test_a_size_that_most_but_not_all_of_a_class_have_is_scored_as_such(table_of):
    subject = subject_of(
        table_of, labelled(), size=lambda number, label: (50 if label == "cat" and number % 2 else 64, 64)
    )
    message = shortcuts(subject)["labels.shortcut_size"].message
    score, baseline = map(float, re.findall(r"0\.\d\d", message))
    assert score == pytest.approx(0.75, abs=0.06)
    assert baseline == pytest.approx(0.5, abs=0.06)


def test_endings_and_name_patterns_that_follow_the_class_are_told(table_of):
    rows = labelled()
    for row in rows:
        camera, ending = ("IMG", "jpg") if row["label"] == "cat" else ("DSC", "png")
        row["path"] = f"{row['label']}/{camera}{row['path'][:-4]}.{ending}"
    subject = subject_of(table_of, rows)
    found = shortcuts(subject)
    assert set(found) == {"labels.shortcut_format", "labels.shortcut_name"}
    assert found["labels.shortcut_name"].severity == "note"
    assert set(shortcuts(subject, rules=[LabelRule(label="cat", contains=["IMG"])])) == {"labels.shortcut_format"}


def test_a_class_told_from_being_in_colour_is_warned_of(table_of):
    subject = subject_of(table_of, labelled())
    found = shortcuts(subject, colour=(subject.table["label"] == "cat").to_numpy())
    assert set(found) == {"labels.shortcut_colour"}


def test_of_several_labels_the_one_that_the_size_tells_is_named(table_of):
    random = np.random.default_rng(3)
    rows = [
        {
            "path": f"{number:04d}.png",
            "label": " ".join(np.array(["rust", "scab"])[random.random(2) < 0.5]) or "healthy",
        }
        for number in range(N)
    ]
    targets = Targets(("rust", "scab"), "multilabel", " ", "healthy")
    subject = subject_of(table_of, rows, size=lambda _, label: (48 if "scab" in label else 64, 64), targets=targets)
    found = shortcuts(subject)
    assert set(found) == {"labels.shortcut_size"}
    assert found["labels.shortcut_size"].message.startswith("The label 'scab' can be told from")


def test_held_out_images_and_a_single_fold_are_left_aside(table_of):
    rows = labelled()
    for row in rows[:60]:
        row["split"] = "holdout"
    part = np.where(np.arange(N) < 60, -1, np.arange(N) % 4)
    telling = lambda number, label: (64, ord(label[0]) if number < 60 else 64)  # noqa: E731
    assert shortcuts(subject_of(table_of, rows, part, size=telling)) == {}
    subject = subject_of(table_of, rows, np.zeros(N, dtype=np.int64), size=lambda _, label: (len(label), ord(label[0])))
    assert shortcuts(subject) == {}


def test_a_class_in_its_own_file_name_is_no_shortcut(table_of):
    assert shortcuts(subject_of(table_of, labelled("{label}-{number:04d}.png"))) == {}


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 4), st.integers(2, 5))
def test_a_rule_is_scored_on_images_that_it_has_not_seen(seed, n_classes, n_parts):
    random = np.random.default_rng(seed)
    y, part = np.arange(60) % n_classes, random.permutation(60) % n_parts
    perfect = rule_score([y], y, part)
    assert perfect.score == 1
    assert perfect.p == pytest.approx(1 / (PERMUTATIONS + 1))
    of_its_own = rule_score([np.arange(60)], y, part)
    assert of_its_own.score == 0
    assert of_its_own.p == 1
    useless = rule_score([np.zeros(60, dtype=np.int64)], y, part)
    assert useless.score <= 1 / n_classes + 1e-9


def test_the_best_feature_counts_and_chance_is_judged_for_all_of_them():
    random = np.random.default_rng(0)
    y, part = random.integers(2, size=200), np.arange(200) % 5
    noise = [random.integers(8, size=200) for _ in range(30)]
    found = rule_score(noise, y, part)
    assert found.score > 0.5
    assert found.baseline > 0.53
    assert found.p > 0.01
    assert rule_score([*noise, y], y, part).score == 1


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("{label}/{label}-{patient}-{shot}.jpeg", "1003"),
        ("{label}/site1-{patient}-{shot}.png", "site1-1003"),
        ("{label}/s{patient}_view{shot}.png", "s1003"),
        ("{label}/leaf {patient} ({shot}).png", "1003"),
    ],
)
def test_names_that_look_like_groups_are_told_with_a_pattern_that_finds_them(table_of, name, group):
    rows = [
        {"label": "ab"[patient % 2], "path": name.format(label="ab"[patient % 2], patient=1000 + patient, shot=shot)}
        for patient in range(30)
        for shot in range(4)
    ]
    subject = subject_of(table_of, rows)
    (finding,) = group_findings(subject)
    assert finding.code == "groups.undeclared"
    assert "from 30 patients" in finding.message
    pattern = re.search("data.groups: '(.*)'", finding.advice)[1]
    path = next(path for path in subject.table["path"] if "1003" in path)
    assert re.search(pattern, path)["group"] == group
    assert len(finding.images) == 120


def test_names_that_are_no_groups_declared_ones_and_whole_ones_are_passed_over(table_of):
    rows = [{"label": "ab"[number % 2], "path": f"IMG_{number:04d}.png"} for number in range(40)]
    assert list(group_findings(subject_of(table_of, rows))) == []
    rows = [{"label": "ab"[number % 2], "path": f"s{number // 4}_{number % 4}.png"} for number in range(40)]
    assert list(group_findings(subject_of(table_of, rows, part=np.arange(40) // 4 % 4))) == []
    assert len(list(group_findings(subject_of(table_of, rows)))) == 1
    for row in rows:
        row["group"] = "declared"
    assert list(group_findings(subject_of(table_of, rows))) == []
