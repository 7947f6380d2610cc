"""What the main job leaves as files: tables, pictures, models, pages."""

from __future__ import annotations

import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tasks.experiment_file import read_experiment
from tests.support.readback import artifact, probabilities, table, text, tree

CLASSES = ["gesund", "kräftig rot", "Öl Fleck"]
BACKBONES = ["ncnn", "vgg16"]
N_FOLDS = 3
PLOTS = ("confusion", "roc", "precision_recall", "loss")


def test_the_predictions_table_names_each_test_image_once(job, runs):
    manifest = table(job.client, runs.experiment, "manifest.parquet").set_index("path")
    for (_, fold), run in runs.folds.items():
        frame = table(job.client, run, "predictions.parquet")
        assert list(frame.columns) == ["path", "sha256", "fold", "true", "predicted", *(f"prob/{c}" for c in CLASSES)]
        assert set(frame["fold"]) == {fold}
        known = manifest.loc[frame["path"]]
        assert frame["sha256"].tolist() == known["sha256"].tolist()
        assert frame["true"].tolist() == known["label"].tolist()
        assert np.allclose(probabilities(frame, CLASSES).sum(axis=1), 1)
        assert (np.array(CLASSES)[probabilities(frame, CLASSES).argmax(axis=1)] == frame["predicted"]).all()


def test_each_level_holds_the_artifacts_that_belong_there(job, runs):
    everything = set(tree(job.client, runs.experiment))
    top = {path for path in everything if not path.startswith(("tables/", "figures/"))}
    assert {"tables/ranking.csv", "tables/ranking.tex"} <= everything
    assert {f"figures/learning_curves_loss.{kind}" for kind in ("png", "pdf")} <= everything
    named = {"experiment.yaml", "manifest.parquet", "folds.csv", "audit.html", "audit.json", "comparison.csv"}
    pages = {"report.html", "contact_sheet.png", "explanations.html", "mean_maps.png", "findings.json"}
    champion = {"promotion.json", "model_card.md"}
    may_be = {"shared_mistakes.png", "suspect_labels.csv"}
    assert top - may_be == named | pages | champion | {"agreement.csv", "where_it_looks.csv", "comparison.json"}
    for run in runs.backbones.values():
        held = set(tree(job.client, run))
        tables = {f"explanations/{name}" for name in ("truth.parquet", "location.parquet", "holdout_agreement.csv")}
        assert {path for path in held if path.startswith("explanations/")} == tables
        of_mistakes = {"wrong.png", "mistakes.json", "table_images"}
        at_the_top = {path.split("/")[0] for path in held} - {"right.png", *of_mistakes}
        files = {"oof_predictions.parquet", "fold_runs.csv", "report.csv"}
        assert at_the_top == files | {
            *("contact_sheet.png", "classes.png", "mean_maps.png", "plots", "explanations", "images"),
        }
    for run in runs.folds.values():
        held = set(tree(job.client, run))
        assert {"predictions.parquet", "holdout_predictions.parquet", "history.csv"} <= held
        assert all(any(part in path for path in held if path.startswith("plots/")) for part in PLOTS)


def test_each_level_says_how_far_to_believe_its_maps(job, runs):
    for name, run in runs.backbones.items():
        truth, location = (table(job.client, run, f"explanations/{part}.parquet") for part in ("truth", "location"))
        metrics = run.data.metrics
        assert metrics["explain/gradcam/overall"] == pytest.approx(truth["overall"].mean())
        assert metrics["explain/gradcam/border"] == pytest.approx(location["border"].mean())
        assert -1 <= metrics["explain/gradcam/holdout_agreement"] <= 1
        assert 0 < metrics["explain/seconds_share"] < 1
        top = runs.experiment.data.metrics
        assert top[f"{name}/explain/gradcam/overall"] == metrics["explain/gradcam/overall"]
        assert -1 <= top[f"{name}/explain/gradcam/backbone_agreement"] <= 1
    where = pd.read_csv(artifact(job.client, runs.experiment, "where_it_looks.csv"))
    assert where.loc[where["outcome"] == "all"].groupby("backbone")["n_images"].sum().to_dict() == {
        "ncnn": 25,
        "vgg16": 25,
    }
    told = json.loads(text(job.client, runs.experiment, "findings.json"))["notes"]
    assert tuple(told) == job.result.notes
    assert told[-1].startswith("Measuring how far to believe the maps took")


def test_the_report_and_the_gallery_show_where_each_backbone_looks(job, runs):
    report, gallery = (text(job.client, runs.experiment, f"{name}.html") for name in ("report", "explanations"))
    assert "Where each backbone looks, and whether to believe the pictures" in report
    assert "weights randomised" in report
    for label in CLASSES:
        assert label in gallery or json.dumps(label)[1:-1] in gallery
    assert "Grad-CAM" in gallery


def test_every_test_image_has_one_overlay_on_the_side_of_its_prediction(job, runs):
    for run in runs.folds.values():
        frame = table(job.client, run, "predictions.parquet")
        overlays = [path for path in tree(job.client, run) if path.startswith("explanations/gradcam/")]
        sides = pd.Series([path.split("/")[2] for path in overlays])
        right = int((frame["true"] == frame["predicted"]).sum())
        assert (sides == "right").sum() == right
        assert (sides == "wrong").sum() == len(frame) - right
    # 000.png stands in every class folder: each has its own picture.
    names = [path for run in runs.folds.values() for path in tree(job.client, run) if "000" in path]
    assert len([name for name in names if "gradcam" in name]) == 3 * len(BACKBONES)


def test_overlays_have_the_size_of_the_original_picture(job, runs):
    run = runs.folds["ncnn", 0]
    overlay = next(path for path in tree(job.client, run) if path.startswith("explanations/gradcam/right/"))
    with Image.open(artifact(job.client, run, overlay)) as picture:
        assert picture.size == (32, 40)


def test_contact_sheets_of_the_three_levels_open(job, runs):
    folds = {run.info.run_id: "explanations/contact_sheet.png" for run in runs.folds.values()}
    above = {run.info.run_id: "contact_sheet.png" for run in (runs.experiment, *runs.backbones.values())}
    for run_id, path in (folds | above).items():
        with Image.open(job.client.download_artifacts(run_id, path)) as sheet:
            sheet.load()
            assert min(sheet.size) > 100


def test_the_data_set_is_logged_as_an_input(job, runs):
    [found] = runs.experiment.inputs.dataset_inputs
    assert found.dataset.digest == job.result.data_digest[:32]
    assert found.dataset.name == "images"
    assert json.loads(found.dataset.profile)["num_rows"] == 32


def test_the_logged_model_repeats_the_logged_predictions_from_raw_pictures(job, runs):
    mlflow.set_tracking_uri(job.studio.tracking_uri)
    for cell in (("ncnn", 2), ("vgg16", 0)):
        run = runs.folds[cell]
        frame = table(job.client, run, "predictions.parquet")
        model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
        pictures = [np.asarray(Image.open(job.folder / "images" / path).convert("RGB")) for path in frame["path"]]
        answer = model.predict(np.stack(pictures))
        assert list(answer.columns) == CLASSES
        assert np.abs(answer.to_numpy() - probabilities(frame, CLASSES)).max() < 1e-5


def test_a_fold_run_has_one_logged_model_with_signature_and_example(job, runs):
    mlflow.set_tracking_uri(job.studio.tracking_uri)
    for run in runs.folds.values():
        [output] = run.outputs.model_outputs
        logged = job.client.get_logged_model(output.model_id)
        assert logged.name == "model"
        assert logged.status == "READY"
        info = mlflow.models.get_model_info(f"models:/{output.model_id}")
        assert info.signature.outputs.input_names() == CLASSES
        assert info.signature.inputs.inputs[0].shape == (-1, -1, -1, 3)
        assert info.saved_input_example_info is not None


def test_the_report_ranks_the_backbones(job, runs):
    page = text(job.client, runs.experiment, "report.html")
    places = [page.index(name, page.index("<table")) for name in ("N-CNN", "VGG16")]
    assert (places[0] < places[1]) == (job.result.ranking[0] == "ncnn")
    assert runs.experiment.data.tags["best_backbone"] == job.result.ranking[0]
    comparison = pd.read_csv(artifact(job.client, runs.experiment, "comparison.csv"))
    assert comparison["backbone"].tolist() == job.result.ranking
    assert Path(job.result.report).read_text(encoding="utf-8") == page


def test_study_e_columns_hold_the_out_of_fold_predictions(job, runs):
    frame = pd.read_csv(artifact(job.client, runs.backbones["ncnn"], "report.csv"), sep=";", decimal=",")
    assert list(frame.columns) == ["Fold", "Image", "Class", "Pred", "Conf", "Right?"]
    assert len(frame) == 25
    assert frame["Right?"].mean() == pytest.approx(runs.backbones["ncnn"].data.metrics["oof/accuracy"])


def test_the_audit_counts_what_is_there(job, runs):
    audited = json.loads(text(job.client, runs.experiment, "audit.json"))
    assert audited["n_images"] == 32
    assert audited["classes"] == {"gesund": 11, "kräftig rot": 10, "Öl Fleck": 11}


def test_folds_read_back_in_give_the_same_folds(job, runs):
    from tasks.planning import load_plan

    copied = job.folder / "again.csv"
    copied.write_bytes(artifact(job.client, runs.experiment, "folds.csv").read_bytes())
    shared = job.studio.write(job.settings | {"seed": 99, "folds": {"n_splits": 2, "file": "again.csv"}}, "shared.yaml")
    with job.studio.inside():
        first = load_plan(read_experiment(job.file))
        second = load_plan(read_experiment(shared))
    assert second.n_folds == N_FOLDS
    assert (second.fold_of_row == first.fold_of_row).all()


def test_the_logged_experiment_file_can_be_run_again(job, runs):
    again = job.folder / "logged.yaml"
    again.write_text(text(job.client, runs.experiment, "experiment.yaml"), encoding="utf-8")
    assert read_experiment(again) == read_experiment(job.file)
