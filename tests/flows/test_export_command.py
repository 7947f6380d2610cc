"""`foldcam export`: study E's folders and tables from what MLflow holds, and nothing else."""

from __future__ import annotations

import errno
import io
import os
import shutil
import time
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from flows.export import export
from flows.watching import watching
from tasks.dataset.targets import Targets
from tests.support.command import foldcam
from tests.support.recorded_runs import PATHS, SETTINGS, RecordedJob
from tests.support.studio import make_studio, one_json


@pytest.fixture
def place(tmp_path, empty_store):
    studio = make_studio(tmp_path / "place", empty_store)
    with studio.inside():
        yield studio


@pytest.fixture
def job(place):
    """Two backbones, two folds, all of it done."""
    return RecordedJob(place.tracking_uri).whole()


def files(folder):
    """Give what is in a folder, by path below it; the overlays' texts, and the tables."""
    return {
        file.relative_to(folder).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def overlays(folder, backbone, place="All"):
    """Give the texts of the overlays below a backbone's folder."""
    return sorted(text for name, text in files(folder).items() if name.startswith(f"{backbone}/{place}/"))


def drop(job, run_id, artifact):
    path = Path(job.ledger.client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / artifact
    assert path.exists()
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_the_record_becomes_study_es_tree_and_tables(job, place):
    answer = foldcam("export", "eyes", "--out", "out", "--json")
    assert answer.code == 0, answer.err
    found, out = one_json(answer.out), place.folder / "out"
    assert sorted(path.name for path in out.iterdir()) == ["ncnn", "ncnn.csv", "vgg16", "vgg16.csv"]
    for name in ("vgg16", "ncnn"):
        rows = pd.read_csv(out / f"{name}.csv", sep=";", decimal=",")
        assert list(rows.columns) == ["Fold", "Image", "Class", "Pred", "Conf", "Right?"]
        assert sorted(rows["Image"]) == sorted(PATHS)
        assert set(rows["Conf"]) == {75.0}
        own = found["backbones"][name]
        assert own == {"predictions": 6, "right": 3, "overlays": 6, "missing_folds": []}
        for fold in (0, 1):
            for good, side in ((1, "Right"), (0, "Wrong")):
                part = rows[(rows["Fold"] == fold) & (rows["Right?"] == good)]
                expected = sorted(f"{name} {fold} gradcam {image}" for image in part["Image"])
                assert overlays(out, name, f"Fold{fold}/{side}") == expected
    assert overlays(out, "ncnn") == sorted(overlays(out, "ncnn", "Fold0") + overlays(out, "ncnn", "Fold1"))
    assert (out / "vgg16" / "All" / "Right" / "c.png").is_file()
    assert found | {"backbones": 0} == {
        "experiment": "eyes",
        "experiment_run_id": job.run_id,
        "status": "completed",
        "method": "gradcam",
        "out": str(out),
        "backbones": 0,
        "warnings": [],
    }


def test_people_are_told_what_was_written_and_where(job, place):
    answer = foldcam("export", "eyes", "--out", "out")
    assert answer.code == 0
    assert "vgg16: 6 predictions, 3 right and 3 wrong; 6 overlays by gradcam" in answer.out
    assert str(place.folder / "out") in answer.out
    assert answer.err.splitlines() == ["vgg16: 6 of 6", "ncnn: 6 of 6"]


def test_a_terminal_sees_how_far_it_is():
    shown = io.StringIO()
    with watching(Console(force_terminal=True, file=shown, width=60), "reading") as watch:
        watch("vgg16", 1, 2)
        time.sleep(0.3)
    assert "vgg16: 1 of 2" in shown.getvalue()


def test_who_stops_it_is_told_that_nothing_was_written(job, place, monkeypatch):
    monkeypatch.setattr("tasks.comparison.record.export.shutil.copyfile", stop)
    answer = foldcam("export", "eyes", "--out", "out")
    assert (answer.code, answer.err.splitlines()[-1]) == (3, "Stopped. Nothing was written.")
    assert not (place.folder / "out").exists()


def stop(*arguments):
    raise KeyboardInterrupt


def test_the_newest_run_of_the_name_is_written(job, place):
    newer = RecordedJob(place.tracking_uri, methods=("rise",)).whole()
    RecordedJob(place.tracking_uri, SETTINGS | {"name": "ears"}).whole()
    done = export("eyes", "out")
    assert (done.experiment_run_id, done.method) == (newer.run_id, "rise")


def test_overlays_are_those_of_the_method_that_is_asked_for(place):
    RecordedJob(place.tracking_uri, methods=("gradcam", "rise")).whole()
    for method in ("gradcam", "rise"):
        done = export("eyes", method, method=method)
        assert done.method == method
        assert {text.split()[2] for text in overlays(done.out, "vgg16")} == {method}
    message = foldcam("export", "eyes", "--out", "other", "--method", "gradcamm").refused()
    assert "Did you mean gradcam?" in message
    assert "gradcam, rise" in message
    assert not (place.folder / "other").exists()


def test_images_that_were_not_explained_are_in_the_tables_only(place):
    job = RecordedJob(place.tracking_uri, SETTINGS | {"backbones": {"ncnn": {}}})
    job.backbone("ncnn")
    job.fold("ncnn", 0, [0, 1, 2], explained=[1], suffix=".jpg")
    job.fold("ncnn", 1, [3, 4, 5], explained=[4, 5], suffix=".jpg")
    done = export("eyes", "out")
    assert done.backbones["ncnn"].overlays == 3
    assert len(pd.read_csv(done.out / "ncnn.csv", sep=";")) == 6
    assert {file.suffix for file in (done.out / "ncnn").rglob("*") if file.is_file()} == {".jpg"}


def test_an_image_of_several_repeats_has_a_row_and_an_overlay_a_repeat(place):
    folds = {"n_splits": 2, "n_repeats": 2}
    job = RecordedJob(place.tracking_uri, SETTINGS | {"folds": folds, "backbones": {"ncnn": {}}})
    job.backbone("ncnn")
    for fold, rows in enumerate(([0, 1, 2], [3, 4, 5], [0, 2, 4], [1, 3, 5])):
        job.fold("ncnn", fold, rows)
    done = export("eyes", "out")
    found = overlays(done.out, "ncnn")
    assert len(set(found)) == 12
    assert {text.split()[1] for text in found if text.endswith(" a/1.png")} == {"0", "2"}
    rows = pd.read_csv(done.out / "ncnn.csv", sep=";")
    assert sorted(rows.loc[rows["Image"] == "a/1.png", "Fold"]) == [0, 2]


def test_several_labels_are_right_when_all_are(place):
    labels = {"kind": "multilabel", "none_label": "healthy", "separator": ","}
    settings = SETTINGS | {"data": {"path": "gone", "labels": labels}, "backbones": {"ncnn": {}}}
    job = RecordedJob(place.tracking_uri, settings, Targets(("rust", "scab"), "multilabel", ",", "healthy"))
    job.backbone("ncnn")
    job.fold("ncnn", 0, range(6))
    rows = pd.read_csv(export("eyes", "out").out / "ncnn.csv", sep=";").set_index("Image")
    assert set(rows["Pred"][[PATHS[1], PATHS[3]]]) == {"rust,scab"}
    assert "healthy" in set(rows["Class"])
    assert (rows["Right?"] == (rows["Class"] == rows["Pred"])).all()
    assert len(overlays(place.folder / "out", "ncnn", "All/Right")) == rows["Right?"].sum()


def test_what_is_not_finished_is_said_and_the_rest_written(place):
    job = RecordedJob(place.tracking_uri, SETTINGS | {"folds": {"n_splits": 3}})
    job.backbone("vgg16")
    job.fold("vgg16", 1, [3, 4, 5])
    job.fold("vgg16", 2, [0, 1, 2], status="failed")
    answer = foldcam("export", "eyes", "--out", "out")
    assert answer.code == 0
    assert "warn vgg16: folds 0 and 2 of 3 not finished" in answer.out
    assert "warn ncnn: no fold is finished" in answer.out
    assert sorted(path.name for path in (place.folder / "out").iterdir()) == ["vgg16", "vgg16.csv"]
    assert {path.name for path in (place.folder / "out" / "vgg16").iterdir()} == {"All", "Fold1"}


def test_a_fold_run_that_was_reused_from_an_earlier_experiment_is_found(place):
    first = RecordedJob(place.tracking_uri).whole()
    client = first.ledger.client
    old = next(run for run in place.runs("fold", backbone="ncnn", fold="0"))
    later = RecordedJob(place.tracking_uri, SETTINGS | {"backbones": {"ncnn": {}}})
    run = later.backbone("ncnn")
    later.fold("ncnn", 1, [3, 4, 5])
    rows = [{"fold": 0, "run_id": old.info.run_id, "status": "reused", "error": None, "seconds": 1.0}]
    client.log_text(run, pd.DataFrame(rows).to_csv(index=False), "fold_runs.csv")
    assert export("eyes", "out").backbones["ncnn"].predictions == 6
    client.delete_run(old.info.run_id)
    done = export("eyes", "again")
    assert done.backbones["ncnn"].missing_folds == [0]


def test_of_a_fold_that_was_done_again_the_newest_run_counts(place):
    job = RecordedJob(place.tracking_uri, SETTINGS | {"backbones": {"ncnn": {}}})
    job.backbone("ncnn")
    for rows in ([0, 1, 2], [0, 1, 2, 3]):
        job.fold("ncnn", 0, rows)
    job.fold("ncnn", 0, [0], status="failed")
    assert export("eyes", "out").backbones["ncnn"].predictions == 4


def refused(place, *told):
    message = foldcam("export", "eyes", "--out", "out").refused()
    assert not (place.folder / "out").exists()
    for part in told:
        assert part in message
    return message


def test_an_experiment_that_is_not_there_is_answered_with_the_nearest(job, place):
    message = foldcam("export", "eye", "--out", "out").refused()
    assert "Did you mean eyes?" in message


def test_nothing_to_write_is_said_with_its_reason(place):
    refused(place, "foldcam run")
    job = RecordedJob(place.tracking_uri)
    job.backbone("ncnn")
    refused(place, "No fold run", "foldcam run")
    RecordedJob(place.tracking_uri, SETTINGS | {"explanation": {"max_images": 0}}).whole()
    refused(place, "explanation.max_images: 0")


def test_photographs_without_labels_have_nothing_to_sort(place):
    job = RecordedJob(place.tracking_uri)
    text = "name: eyes\ndata: {labels: {kind: none}}\n"
    job.ledger.client.log_text(job.run_id, text, "experiment.yaml")
    refused(place, "photographs without labels")


def test_a_folder_with_something_in_it_is_left_alone(job, place):
    (place.folder / "out").mkdir()
    (place.folder / "out" / "mine").write_text("mine")
    assert "nothing is overwritten" in foldcam("export", "eyes", "--out", "out").refused()
    assert files(place.folder / "out") == {"mine": "mine"}


@pytest.mark.parametrize("gone", ["predictions.parquet", "explanations/gradcam", "explanations/gradcam/right/c.png"])
def test_artifacts_that_are_gone_are_named_and_nothing_is_written(job, place, gone):
    run = place.runs("fold", backbone="ncnn", fold="0")[0]
    drop(job, run.info.run_id, gone)
    refused(place, gone.removesuffix("/c.png").removesuffix("explanations/"), "--fresh")
    assert sorted(path.name for path in place.folder.iterdir() if path.name.startswith(".")) == []


def test_a_damaged_table_is_told_in_one_paragraph(job, place):
    run = place.runs("fold", backbone="ncnn", fold="0")[0]
    job.ledger.client.log_text(run.info.run_id, "PAR1 and no more", "predictions.parquet")
    refused(place, "predictions.parquet", "damaged", "--fresh")


def test_a_method_that_fails_sanity_checks_says_so(place):
    RecordedJob(place.tracking_uri, methods=("guided",)).whole()
    assert [warning.split(":")[0] for warning in export("eyes", "out").warnings] == [
        "Guided back-propagation fails sanity checks"
    ]


def test_an_experiment_whose_own_artifacts_are_gone_is_told_in_one_paragraph(job, place):
    drop(job, job.run_id, "manifest.parquet")
    refused(place, "manifest.parquet", job.run_id)


def test_a_full_disk_is_told_and_leaves_nothing(job, place, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    monkeypatch.setattr(shutil, "copyfile", full)
    refused(place, "No space left on device", "with room")
    assert [path.name for path in place.folder.iterdir() if path.name.startswith(".")] == []
