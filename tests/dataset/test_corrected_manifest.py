"""Corrections on their way into the manifest: what changes, what is refused, what is said of it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from flows.check import check_experiment
from tasks.config import Data, Experiment, InputError
from tasks.dataset.audit.audit import audit
from tasks.dataset.corrected_manifest import changes, corrections_table, corrections_told, with_corrections
from tasks.dataset.corrections import read_corrections, write_for_annotators
from tasks.dataset.manifest import Manifest, read_manifest
from tasks.experiment_file import read_experiment
from tasks.planning import read_images
from tasks.workers.events import subscribe
from tests.support.images import write_classes

HEADER = "path,given,correct,by,when"


@pytest.fixture
def folder(tmp_path):
    return write_classes(tmp_path / "data", {"cat": 6, "dog": 6})


@pytest.fixture
def sheet(tmp_path):
    def write(*rows, name="filled.csv", header=HEADER):
        file = tmp_path / name
        file.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return file

    return write


def label_of(manifest, path):
    return manifest.table.set_index("path").loc[path, "label"]


def test_a_corrected_label_counts_and_the_digest_is_another_one(folder, sheet):
    before = read_manifest(Data(path=folder))
    file = sheet("cat/000.png,cat,dog,Ida,2026-03-31", "dog/001.png,dog,dog,Ole,2026-04-01", "cat/002.png,cat,,,")
    after = with_corrections(before, [file])
    assert label_of(after, "cat/000.png") == "dog"
    assert after.digest != before.digest
    unlike = after.table["label"] != before.table["label"]
    assert after.table.loc[unlike, "path"].tolist() == ["cat/000.png"]
    assert np.flatnonzero(after.y != before.y).tolist() == np.flatnonzero(unlike).tolist()
    assert label_of(before, "cat/000.png") == "cat"
    assert [one.path for one in changes(after.corrections)] == ["cat/000.png"]
    assert corrections_told(after.corrections) == (
        "1 label corrected and 1 confirmed by data.corrections: Ida (1), Ole (1)."
    )


def test_without_files_nothing_changes_and_with_confirmed_labels_alone_the_digest_stays(folder, sheet):
    manifest = read_manifest(Data(path=folder))
    assert with_corrections(manifest, []) is manifest
    confirmed = with_corrections(manifest, [sheet("dog/001.png,dog,dog,Ole,2026-04-01")])
    assert confirmed.digest == manifest.digest
    assert len(confirmed.corrections) == 1


def test_a_second_round_is_about_what_the_first_one_made(folder, sheet):
    manifest = read_manifest(Data(path=folder))
    first = sheet("cat/000.png,cat,dog,Ida,2026-03-31", "cat/001.png,cat,dog,Ida,2026-03-31", name="one.csv")
    second = sheet("cat/000.png,dog,cat,Ole,2026-05-01", "cat/001.png,dog,dog,Ole,2026-05-01", name="two.csv")
    found = with_corrections(manifest, [first, second])
    assert [(one.path, one.given, one.correct, one.by) for one in found.corrections] == [
        ("cat/000.png", "cat", "cat", "Ole"),
        ("cat/001.png", "cat", "dog", "Ole"),
    ]
    with pytest.raises(InputError, match=r"two.csv, line 2: `cat/000.png` was dog when the table was written"):
        with_corrections(manifest, [second, first])


def test_two_people_with_one_sheet_may_agree_but_not_differ(folder, sheet):
    images = read_manifest(Data(path=folder))
    ida = sheet("cat/000.png,cat,dog,Ida,2026-03-31", name="ida.csv")
    ole = sheet("cat/000.png,cat,dog,Ole,2026-04-01", name="ole.csv")
    eva = sheet("cat/000.png,cat,cat,Eva,2026-04-01", name="eva.csv")
    assert [one.by for one in with_corrections(images, [ida, ole]).corrections] == ["Ida"]
    with pytest.raises(InputError, match=r"eva.csv, line 2: `cat/000.png` is cat here and dog in ida.csv, line 2"):
        with_corrections(images, [ida, eva])


def test_a_class_without_any_image_left_and_a_file_that_is_not_there_are_refused(folder, sheet, tmp_path):
    manifest = read_manifest(Data(path=folder))
    rows = [f"cat/{number:03d}.png,cat,dog,Ida,2026-03-31" for number in range(6)]
    with pytest.raises(InputError, match=r"no image is left of cat"):
        with_corrections(manifest, [sheet(*rows)])
    with pytest.raises(InputError, match=r"data.corrections: there is no file .*gone.csv"):
        with_corrections(manifest, [tmp_path / "gone.csv"])


def test_the_file_that_goes_out_comes_back_in_whatever_the_kind_of_labels(tmp_path, folder):
    data = Data(path=folder, labels={"kind": "multilabel"})
    manifest = read_manifest(data)
    suspects = manifest.table[["path", "sha256"]].assign(
        given=manifest.table["label"], suggested="cat dog", probability=0.5, margin=-0.5
    )
    file = tmp_path / "out.csv"
    write_for_annotators(suspects, manifest.targets, file)
    filled = pd.read_csv(file, dtype=str).assign(by="Ida", when="2026-03-31")
    filled.loc[0, "correct"], filled.loc[1, "correct"] = "dog cat", "no label"
    filled.to_csv(file, index=False)
    after = with_corrections(manifest, [file])
    assert after.table["label"].tolist()[:3] == ["cat dog", "", "cat"]
    assert after.y[:3].tolist() == [[1, 1], [0, 0], [1, 0]]


def test_the_record_keeps_who_said_what(folder, sheet, tmp_path):
    manifest = with_corrections(
        read_manifest(Data(path=folder)),
        [sheet("cat/000.png,cat,dog,Ida,2026-03-31", "cat/001.png,cat,cat,Ole,2026-04-01")],
    )
    manifest.write(tmp_path / "manifest.parquet")
    again = Manifest.read(tmp_path / "manifest.parquet", folder)
    assert again.corrections == manifest.corrections
    assert again.corrections[0].when == date(2026, 3, 31)
    assert again.digest == manifest.digest
    assert corrections_table(again.corrections).values.tolist() == [
        ["cat/000.png", "cat", "dog", "Ida", "2026-03-31"],
        ["cat/001.png", "cat", "cat", "Ole", "2026-04-01"],
    ]


def test_the_audit_tells_of_corrections_unless_it_is_turned_off(folder, sheet):
    data = Data(path=folder)
    manifest = read_manifest(data)
    folds = np.arange(12) % 2
    file = sheet("cat/000.png,cat,dog,Ida,2026-03-31", "dog/001.png,dog,dog,Ole,2026-04-01")
    corrected = with_corrections(manifest, [file])
    told = [one for one in audit(corrected, folds, data).findings if one.code == "labels.corrected"]
    assert [one.severity for one in told] == ["note"]
    assert told[0].images == ("cat/000.png",)
    assert told[0].message == (
        "1 label corrected and 1 confirmed by data.corrections: Ida (1), Ole (1). cat/000.png (cat → dog)."
    )
    quiet = Data(path=folder, audit={"off": ["labels.corrected"]})
    for silent in (audit(manifest, folds, data), audit(corrected, folds, quiet)):
        assert "labels.corrected" not in {one.code for one in silent.findings}


def test_the_experiment_file_names_corrections_from_its_own_folder(folder, sheet, monkeypatch, tmp_path):
    sheet("cat/000.png,cat,dog,Ida,2026-03-31")
    file = tmp_path / "experiment.yaml"
    file.write_text("name: a\ndata: {path: data, corrections: filled.csv}\nfolds: {n_splits: 2}\nbackbones: [ncnn]\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    experiment = read_experiment(file)
    assert experiment.data.corrections == [tmp_path / "filled.csv"]
    check = check_experiment(experiment)
    assert label_of(check.plan.manifest, "cat/000.png") == "dog"
    assert "labels.corrected" in {one.code for one in check.audited.findings}
    plain = check_experiment(read_experiment(file, ["data.corrections=[]"]))
    assert plain.plan.fingerprint != check.plan.fingerprint
    assert set(plain.plan.fingerprints.values()).isdisjoint(check.plan.fingerprints.values())


def test_where_the_file_lies_does_not_make_another_experiment(folder, sheet):
    row = "cat/000.png,cat,dog,Ida,2026-03-31"
    files = [sheet(row, name="one.csv"), sheet(row, name="two.csv")]
    plans = [
        check_experiment(
            Experiment(
                name="a", data={"path": folder, "corrections": [file]}, folds={"n_splits": 2}, backbones=["ncnn"]
            )
        ).plan
        for file in files
    ]
    assert plans[0].fingerprint == plans[1].fingerprint
    assert plans[0].fingerprints == plans[1].fingerprints


def test_an_address_is_no_file_of_corrections():
    with pytest.raises(ValidationError):
        Data(path="x", corrections=["s3://bucket/filled.csv"])


def test_a_correction_that_meets_nothing_is_told_with_its_line(folder, sheet):
    table = read_manifest(Data(path=folder))
    with pytest.raises(InputError, match=r"filled.csv, line 2: there is no image `cat/999.png` in the data"):
        read_corrections([sheet("cat/999.png,cat,dog,Ida,2026-03-31")], table.table, table.targets)


def test_a_run_says_on_the_screen_how_many_labels_are_corrected(folder, sheet, monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDCAM_HOME", str(tmp_path / "cache"))
    file = sheet("cat/000.png,cat,dog,Ida,2026-03-31")
    told = []
    for corrections in ([], [file]):
        settings = Experiment(name="a", data={"path": folder, "corrections": corrections}, backbones=["ncnn"])
        with subscribe(lambda event: told.append(getattr(event, "step", ""))):
            read_images(settings)
    assert [step for step in told if "corrected" in step] == ["1 label corrected by data.corrections: Ida (1)"]
