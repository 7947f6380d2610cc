"""A wrong label on its way: found by a run, told to annotators, corrected, and gone in the next run; and subgroups."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from flows.cross_validate import cross_validate
from tests.support.images import picture, write_classes
from tests.support.kept_workers import kept_workers

WRONG = "blue/000.png"


@pytest.fixture(scope="module")
def rounds(studio):
    """Two runs: the first with a red picture that is labelled blue, the second with what the first has asked about."""
    images = write_classes(studio.folder / "images", {"blue": 14, "red": 14})
    Image.fromarray(picture(1, 99)).save(images / WRONG)
    rows = [f"{label}/{number:03d}.png,{label},{'AB'[number % 2]}" for label in ("blue", "red") for number in range(14)]
    (images / "images.csv").write_text("\n".join(["image,label,camera", *rows]) + "\n")
    settings = {
        "name": "rounds",
        "data": {"path": "images", "reader": "table"},
        "folds": {"n_splits": 2},
        "backbones": {"ncnn": {"size": 34, "freeze": "none"}},
        "training": {"epochs": 12, "batch_size": 4},
        "explanation": {"max_images": 4, "contact_sheet_images": 3, "faithfulness_images": 0},
        "comparison": {"subgroups": ["camera"], "n_draws": 1000, "cost": False, "figures": ["png"]},
        "champion": {"enabled": False},
        "runner": {"workers": 1},
    }
    with studio.inside(), kept_workers():
        first = cross_validate(studio.write(settings))
        asked = pd.read_csv(_artifact(studio, first, "suspect_labels.csv"), dtype=str, encoding="utf-8-sig")
        own = asked["path"] == WRONG
        filled = asked.assign(correct=asked["given"].mask(own, "red"), by="Ida", when="2026-03-31")
        filled.to_csv(studio.folder / "filled.csv", index=False)
        settings["data"] = settings["data"] | {"corrections": "filled.csv"}
        second = cross_validate(studio.write(settings))
    return SimpleNamespace(first=first, second=second, asked=asked, studio=studio)


def _artifact(studio, result, name):
    return io.BytesIO(Path(studio.client.download_artifacts(result.experiment_run_id, name)).read_bytes())


def _names(rounds, result, folder=""):
    return {found.path for found in rounds.studio.client.list_artifacts(result.experiment_run_id, folder)}


def test_the_wrong_label_is_found_and_its_picture_shown(rounds):
    own = rounds.asked[rounds.asked["path"] == WRONG]
    assert own[["given", "suggested"]].values.tolist() == [["blue", "red"]]
    assert "figures/suspect_labels.png" in _names(rounds, rounds.first, "figures")
    assert "tables/suspects.csv" in _names(rounds, rounds.first, "tables")


def test_the_next_run_has_the_corrected_label_and_another_digest(rounds):
    assert rounds.second.data_digest != rounds.first.data_digest
    assert rounds.second.experiment_run_id != rounds.first.experiment_run_id
    labels = [own.backbones["ncnn"].out_of_fold.set_index("path")["true"] for own in (rounds.first, rounds.second)]
    assert (labels[0][WRONG], labels[1][WRONG]) == ("blue", "red")
    unlike = labels[0] != labels[1].reindex(labels[0].index)
    assert unlike[unlike].index.tolist() == [WRONG]


def test_the_record_says_what_was_corrected_by_whom(rounds):
    said = pd.read_csv(_artifact(rounds.studio, rounds.second, "corrections.csv"))
    assert set(said["path"]) == set(rounds.asked["path"])
    row = said[said["path"] == WRONG].iloc[0]
    assert row[["given", "correct", "by", "when"]].tolist() == ["blue", "red", "Ida", "2026-03-31"]
    assert "corrections.csv" not in _names(rounds, rounds.first)
    report = _artifact(rounds.studio, rounds.second, "report.html").read().decode()
    assert "1 label corrected" in report


def test_what_was_settled_is_not_asked_again(rounds):
    if "suspect_labels.csv" in _names(rounds, rounds.second):
        again = pd.read_csv(_artifact(rounds.studio, rounds.second, "suspect_labels.csv"), encoding="utf-8-sig")
        assert set(again["path"]).isdisjoint(rounds.asked["path"])


def test_the_subgroups_of_the_table_are_scored(rounds):
    found = pd.read_csv(_artifact(rounds.studio, rounds.second, "tables/subgroups.csv"))
    assert found[["column", "value", "n_images"]].drop_duplicates().values.tolist() == [
        ["camera", "A", 14],
        ["camera", "B", 14],
    ]
    assert "figures/subgroups.png" in _names(rounds, rounds.second, "figures")
