from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from scipy import stats
from sklearn import metrics as sk

from flows.cross_validate import cross_validate
from tasks.experiment_file import read_experiment
from tests.support.images import write_classes
from tests.support.servers import mlflow_over_http
from tests.support.studio import make_studio

CLASSES = ["gesund", "kräftig rot", "Öl Fleck"]
BACKBONES = ["ncnn", "vgg16"]
N_FOLDS = 3
EPOCHS = 2
SETTINGS = {
    "name": "main job",
    "description": "what a group would run",
    "data": {"path": "images"},
    "folds": {"n_splits": N_FOLDS},
    "backbones": {"ncnn": {"size": 36, "freeze": "none"}, "vgg16": {"size": 32}},
    "training": {"epochs": EPOCHS, "batch_size": 4},
    "explanation": {"contact_sheet_images": 5},
    "runner": {"workers": 2},
}
NAMES = [
    *("accuracy", "balanced_accuracy", "roc_auc", "average_precision", "f1_macro", "precision_macro"),
    *("recall_macro", "cohen_kappa", "matthews_corrcoef", "log_loss", "brier", "ece"),
]
PLOTS = ("confusion", "roc", "precision_recall", "loss")


@pytest.fixture(scope="module")
def job(tmp_path_factory, empty_store, prefect_api):
    """The whole job, done once, through a real MLflow server: what it gave, and where to read it back."""
    folder = tmp_path_factory.mktemp("main")
    studio = make_studio(folder, empty_store, prefect_api)
    write_classes(folder / "images" / "train", {"gesund": 9, "kräftig rot": 8, "Öl Fleck": 8})
    write_classes(folder / "images" / "test", {"gesund": 2, "kräftig rot": 2, "Öl Fleck": 3}, seed=7)
    file = studio.write(SETTINGS)
    with mlflow_over_http(folder, studio.tracking_uri) as address:
        studio = replace(studio, tracking_uri=address)
        with studio.inside():
            result = cross_validate(file)
        yield SimpleNamespace(studio=studio, file=file, result=result, client=studio.client, folder=folder)


@pytest.fixture
def runs(job):
    """The runs by level: the experiment's, the backbones' by name, the folds' by backbone and number."""
    levels = SimpleNamespace(
        experiment=job.client.get_run(job.result.experiment_run_id),
        backbones={name: job.client.get_run(own.run_id) for name, own in job.result.backbones.items()},
        folds={
            (name, fold.fold): job.client.get_run(fold.run_id)
            for name, own in job.result.backbones.items()
            for fold in own.folds
        },
    )
    levels.all = [levels.experiment, *levels.backbones.values(), *levels.folds.values()]
    return levels


def artifact(job, run, path):
    return job.client.download_artifacts(run.info.run_id, path)


def table(job, run, path):
    return pd.read_parquet(artifact(job, run, path))


def tree(client, run_id, path=None):
    found = []
    for entry in client.list_artifacts(run_id, path):
        found += tree(client, run_id, entry.path) if entry.is_dir else [entry.path]
    return found


def probabilities(frame):
    return frame[[f"prob/{label}" for label in CLASSES]].to_numpy()


def read_json(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def test_every_fold_of_every_backbone_is_completed(job):
    assert job.result.status == "completed"
    assert list(job.result.backbones) == BACKBONES
    assert job.result.runs["status"].tolist() == ["completed"] * 6
    assert sorted(job.result.ranking) == BACKBONES


def test_the_runs_stand_on_three_levels_below_each_other(job, runs):
    assert len(runs.all) == len(job.studio.runs()) == 1 + 2 + 6
    assert "mlflow.parentRunId" not in runs.experiment.data.tags
    for run in runs.backbones.values():
        assert run.data.tags["mlflow.parentRunId"] == runs.experiment.info.run_id
    for (backbone, fold), run in runs.folds.items():
        assert run.data.tags["mlflow.parentRunId"] == runs.backbones[backbone].info.run_id
        assert run.info.run_name == f"{backbone}/{fold}"


def test_every_run_has_ended_well_and_bears_its_tags(job, runs):
    levels = ["experiment", *["backbone"] * 2, *["fold"] * 6]
    for run, level in zip(runs.all, levels, strict=True):
        tags = run.data.tags
        assert run.info.status == "FINISHED"
        assert tags["foldcam.level"] == level
        assert tags["foldcam.status"] == "completed"
        assert tags["foldcam.version"]
        assert len(tags["foldcam.fingerprint"]) == 64
        assert tags["foldcam.data_digest"] == job.result.data_digest
    assert len({run.data.tags["foldcam.fingerprint"] for run in runs.all}) == 9
    for (backbone, fold), run in runs.folds.items():
        assert (run.data.tags["foldcam.backbone"], run.data.tags["foldcam.fold"]) == (backbone, str(fold))
    assert all(run.data.tags["foldcam.backbone"] == name for name, run in runs.backbones.items())


def test_parameters_are_the_flattened_experiment_file(runs):
    params = runs.experiment.data.params
    assert params["training.epochs"] == "2"
    assert params["training.optimizer.learning_rate"] == "0.001"
    assert params["folds.n_splits"] == "3"
    assert params["backbones.ncnn.size"] == "36"
    assert params["data.path"].endswith("/images")
    assert (
        runs.folds["ncnn", 1].data.params | {"fold": "1", "model.freeze": "none"} == runs.folds["ncnn", 1].data.params
    )
    assert runs.folds["vgg16", 0].data.params["model.freeze"] == "base"


def test_a_fold_run_has_every_epoch_of_every_figure(job, runs):
    for run in runs.folds.values():
        for name in (
            "train/loss",
            "val/loss",
            "train/accuracy",
            "val/balanced_accuracy",
            "train/learning_rate",
            "train/seconds",
        ):
            history = job.client.get_metric_history(run.info.run_id, name)
            assert sorted(point.step for point in history) == list(range(EPOCHS)), name
        frame = pd.read_csv(artifact(job, run, "history.csv"))
        logged = {m.step: m.value for m in job.client.get_metric_history(run.info.run_id, "val/loss")}
        assert frame["val/loss"].tolist() == [logged[epoch] for epoch in frame["epoch"]]


def test_test_metrics_are_scikit_learns_on_the_logged_predictions(job, runs):
    for run in runs.folds.values():
        frame, logged = table(job, run, "predictions.parquet"), run.data.metrics
        y, y_prob = frame["true"], probabilities(frame)
        assert logged["test/accuracy"] == pytest.approx(sk.accuracy_score(y, frame["predicted"]))
        assert logged["test/balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, frame["predicted"]))
        assert logged["test/log_loss"] == pytest.approx(sk.log_loss(y, y_prob, labels=CLASSES))
        f1 = sk.f1_score(y, frame["predicted"], labels=CLASSES, average=None, zero_division=0)
        assert [logged[f"test/f1/{label}"] for label in CLASSES] == pytest.approx(list(f1))
        assert {f"test/{name}" for name in NAMES} <= set(logged)


def test_figures_over_folds_are_recomputed_from_the_fold_runs(job, runs):
    for backbone, run in runs.backbones.items():
        folds = [runs.folds[backbone, fold] for fold in range(N_FOLDS)]
        ratio = np.mean([int(f.data.params["n_test"]) / int(f.data.params["n_train"]) for f in folds])
        for metric in ("accuracy", "log_loss", "recall/kräftig rot"):
            values = [fold.data.metrics[f"test/{metric}"] for fold in folds]
            mean, std = np.mean(values), np.std(values, ddof=1)
            half = stats.t.ppf(0.975, N_FOLDS - 1) * std * np.sqrt(1 / N_FOLDS + ratio)
            highest = np.inf if metric == "log_loss" else 1
            expected = {"mean": mean, "std": std, "ci_low": max(0, mean - half), "ci_high": min(highest, mean + half)}
            found = {part: run.data.metrics[f"cv/{metric}_{part}"] for part in expected}
            assert found == pytest.approx(expected)
            assert runs.experiment.data.metrics[f"{backbone}/{metric}"] == pytest.approx(mean)


def test_out_of_fold_metrics_are_scikit_learns_on_the_pooled_predictions(job, runs):
    for run in runs.backbones.values():
        frame, logged = table(job, run, "oof_predictions.parquet"), run.data.metrics
        y, y_prob = frame["true"], probabilities(frame)
        assert len(frame) == 25
        assert frame["path"].is_unique
        assert logged["oof/accuracy"] == pytest.approx(sk.accuracy_score(y, frame["predicted"]))
        area = np.mean([sk.roc_auc_score(y == label, y_prob[:, place]) for place, label in enumerate(CLASSES)])
        assert logged["oof/roc_auc"] == pytest.approx(area)
        assert logged["oof/matthews_corrcoef"] == pytest.approx(sk.matthews_corrcoef(y, frame["predicted"]))


def test_the_holdout_is_scored_once_by_the_ensemble_of_the_folds(job, runs):
    for backbone, run in runs.backbones.items():
        parts = [table(job, runs.folds[backbone, fold], "holdout_predictions.parquet") for fold in range(N_FOLDS)]
        mean = np.mean([probabilities(part.sort_values("path")) for part in parts], axis=0)
        true = parts[0].sort_values("path")["true"]
        predicted = np.array(CLASSES)[mean.argmax(axis=1)]
        assert set(true.index) and all(path.startswith("test/") for path in parts[0]["path"])
        assert run.data.metrics["holdout/accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
        assert run.data.metrics["holdout/log_loss"] == pytest.approx(sk.log_loss(true, mean, labels=CLASSES))


def test_the_predictions_table_names_each_test_image_once(job, runs):
    manifest = table(job, runs.experiment, "manifest.parquet").set_index("path")
    for (_, fold), run in runs.folds.items():
        frame = table(job, run, "predictions.parquet")
        assert list(frame.columns) == ["path", "sha256", "fold", "true", "predicted", *(f"prob/{c}" for c in CLASSES)]
        assert set(frame["fold"]) == {fold}
        known = manifest.loc[frame["path"]]
        assert frame["sha256"].tolist() == known["sha256"].tolist()
        assert frame["true"].tolist() == known["label"].tolist()
        assert np.allclose(probabilities(frame).sum(axis=1), 1)
        assert (np.array(CLASSES)[probabilities(frame).argmax(axis=1)] == frame["predicted"]).all()


def test_each_level_holds_the_artifacts_that_belong_there(job, runs):
    top = set(tree(job.client, runs.experiment.info.run_id))
    named = {"experiment.yaml", "manifest.parquet", "folds.csv", "audit.html", "audit.json", "comparison.csv"}
    assert top == named | {"report.html", "contact_sheet.png"}
    for run in runs.backbones.values():
        held = set(tree(job.client, run.info.run_id))
        assert {"oof_predictions.parquet", "report.csv", "contact_sheet.png"} <= held
        assert {path.split("/")[0] for path in held} == {
            "oof_predictions.parquet",
            "report.csv",
            "contact_sheet.png",
            "plots",
        }
    for run in runs.folds.values():
        held = set(tree(job.client, run.info.run_id))
        assert {"predictions.parquet", "holdout_predictions.parquet", "history.csv"} <= held
        assert all(any(part in path for path in held if path.startswith("plots/")) for part in PLOTS)


def test_every_test_image_has_one_overlay_on_the_side_of_its_prediction(job, runs):
    for run in runs.folds.values():
        frame = table(job, run, "predictions.parquet")
        overlays = [path for path in tree(job.client, run.info.run_id) if path.startswith("explanations/gradcam/")]
        sides = pd.Series([path.split("/")[2] for path in overlays])
        right = int((frame["true"] == frame["predicted"]).sum())
        assert (sides == "right").sum() == right
        assert (sides == "wrong").sum() == len(frame) - right
    # 000.png stands in every class folder: each has its own picture.
    names = [path for run in runs.folds.values() for path in tree(job.client, run.info.run_id) if "000" in path]
    assert len([name for name in names if "gradcam" in name]) == 3 * len(BACKBONES)


def test_overlays_have_the_size_of_the_original_picture(job, runs):
    run = runs.folds["ncnn", 0]
    overlay = next(path for path in tree(job.client, run.info.run_id) if path.startswith("explanations/gradcam/"))
    with Image.open(artifact(job, run, overlay)) as picture:
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
        frame = table(job, run, "predictions.parquet")
        model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
        pictures = [np.asarray(Image.open(job.folder / "images" / path).convert("RGB")) for path in frame["path"]]
        answer = model.predict(np.stack(pictures))
        assert list(answer.columns) == CLASSES
        assert np.abs(answer.to_numpy() - probabilities(frame)).max() < 1e-5


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
    with open(artifact(job, runs.experiment, "report.html"), encoding="utf-8") as file:
        page = file.read()
    places = [page.index(name, page.index("<table")) for name in ("N-CNN", "VGG16")]
    assert (places[0] < places[1]) == (job.result.ranking[0] == "ncnn")
    assert runs.experiment.data.tags["best_backbone"] == job.result.ranking[0]
    comparison = pd.read_csv(artifact(job, runs.experiment, "comparison.csv"))
    assert comparison["backbone"].tolist() == job.result.ranking
    with open(job.result.report, encoding="utf-8") as file:
        assert file.read() == page


def test_study_e_columns_hold_the_out_of_fold_predictions(job, runs):
    frame = pd.read_csv(artifact(job, runs.backbones["ncnn"], "report.csv"), sep=";", decimal=",")
    assert list(frame.columns) == ["Fold", "Image", "Class", "Pred", "Conf", "Right?"]
    assert len(frame) == 25
    assert frame["Right?"].mean() == pytest.approx(runs.backbones["ncnn"].data.metrics["oof/accuracy"])


def test_the_audit_counts_what_is_there(job, runs):
    audited = read_json(artifact(job, runs.experiment, "audit.json"))
    assert audited["n_images"] == 32
    assert audited["classes"] == {"gesund": 11, "kräftig rot": 10, "Öl Fleck": 11}


def test_folds_read_back_in_give_the_same_folds(job, runs):
    from tasks.prepare import load_plan

    copied = job.folder / "again.csv"
    with open(artifact(job, runs.experiment, "folds.csv"), "rb") as source:
        copied.write_bytes(source.read())
    shared = job.studio.write(SETTINGS | {"seed": 99, "folds": {"n_splits": 2, "file": "again.csv"}}, "shared.yaml")
    with job.studio.inside():
        first = load_plan(read_experiment(job.file))
        second = load_plan(read_experiment(shared))
    assert second.n_folds == N_FOLDS
    assert (second.fold_of_row == first.fold_of_row).all()


def test_the_logged_experiment_file_can_be_run_again(job, runs):
    path = artifact(job, runs.experiment, "experiment.yaml")
    with open(path, encoding="utf-8") as file:
        content = yaml.safe_load(file)
    again = job.folder / "logged.yaml"
    again.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert read_experiment(again) == read_experiment(job.file)


def test_training_validation_and_test_images_are_disjoint(job):
    from tasks.prepare import load_plan

    with job.studio.inside():
        plan = load_plan(read_experiment(job.file))
    tested = np.concatenate([rows.test for rows in plan.rows])
    assert sorted(tested) == sorted(np.flatnonzero(plan.fold_of_row >= 0))
    for rows in plan.rows:
        parts = [set(rows.train), set(rows.validation), set(rows.test), set(rows.holdout)]
        assert all(parts)
        assert len(set.union(*parts)) == sum(map(len, parts)) == 32


def test_the_result_gives_data_frames_and_the_promised_json(job):
    answer = json.loads(json.dumps(job.result.to_json(), allow_nan=False))
    promised = ["experiment", "experiment_run_id", "status", "data_digest", "backbones", "ranking", "report", "seconds"]
    assert list(answer) == promised
    own = answer["backbones"]["vgg16"]
    assert sorted(own) == ["folds", "metrics", "run_id"]
    assert list(own["metrics"]["accuracy"]) == ["mean", "std", "ci_low", "ci_high", "folds"]
    assert sorted(own["folds"][0]) == ["error", "fold", "run_id", "seconds", "status"]
    assert len(job.result.metrics) == 6
    assert len(job.result.out_of_fold) == 25 * 2
    assert list(job.result.runs["fold"]) == [0, 1, 2] * 2


def test_prefect_shows_a_completed_flow_run_with_named_task_runs(job):
    flow_run, task_runs = asyncio.run(_flow_and_tasks("main job"))
    assert flow_run.state.type.value == "COMPLETED"
    assert {run.name for run in task_runs if run.name.startswith("run-fold")} == {
        f"run-fold {backbone}/{fold}" for backbone in BACKBONES for fold in range(N_FOLDS)
    }
    assert {run.state.type.value for run in task_runs} == {"COMPLETED"}


def test_prefect_shows_the_comparison_and_a_link_to_mlflow(job):
    flow_run, _ = asyncio.run(_flow_and_tasks("main job"))
    found = {artifact.key: artifact for artifact in asyncio.run(_artifacts_of(flow_run.id))}
    rows = json.loads(found["comparison"].data)
    assert [row["backbone"] for row in rows] == job.result.ranking
    assert job.result.experiment_run_id in found["mlflow-run"].data
    assert job.studio.tracking_uri in found["mlflow-run"].data


async def _flow_and_tasks(name):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
    from prefect.client.schemas.sorting import FlowRunSort

    wanted = FlowRunFilter(name=FlowRunFilterName(any_=[name]))
    async with get_client() as client:
        runs = await client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.START_TIME_ASC)
        first = FlowRunFilter(id={"any_": [runs[0].id]})
        return runs[0], await client.read_task_runs(flow_run_filter=first)


async def _artifacts_of(flow_run_id):
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId

    async with get_client() as client:
        wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        return await client.read_artifacts(artifact_filter=wanted)
