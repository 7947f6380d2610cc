"""`foldcam explain` on models that a real experiment has logged, through a real MLflow server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from flows.cross_validate import cross_validate
from flows.explain_images import explain_images
from tasks.config import InputError
from tasks.tracking.models import find_model
from tests.support.command import foldcam
from tests.support.foreign_models import built
from tests.support.images import write_classes
from tests.support.kept_workers import kept_workers
from tests.support.readback import table, tree
from tests.support.servers import mlflow_over_http
from tests.support.studio import make_studio, one_json, quick

CLASSES = ("Öl Fleck", "gesund")
SETTINGS = {
    "name": "explained study",
    "seed": 3,
    "training": {"epochs": 2, "batch_size": 8},
    "data": {"path": "images", "preprocessing": {"resize": "pad", "mask": "circle"}},
    "explanation": {
        "methods": ["gradcam", "smoothgrad"],
        "smoothgrad": {"n_samples": 4},
        "colormap": "jet",
        "alpha": 0.6,
        "max_images": 4,
        "contact_sheet_images": 3,
        "faithfulness_images": 0,
    },
}


@pytest.fixture(scope="module")
def study(tmp_path_factory, empty_store, prefect_api):
    """An experiment with one backbone and two folds, whose models lie behind a server; fold 1's is the champion."""
    folder = tmp_path_factory.mktemp("study")
    studio = make_studio(folder, empty_store, prefect_api)
    write_classes(folder / "images", dict.fromkeys(CLASSES, 6), size=(50, 30))
    file = studio.write(quick("images", **SETTINGS))
    with mlflow_over_http(folder, studio.tracking_uri) as address:
        studio = replace(studio, tracking_uri=address)
        with studio.inside(), kept_workers():
            result = cross_validate(file)
            assert result.status == "completed", result.failures
            client = studio.client
            runs = [client.get_run(fold.run_id) for fold in result.backbones["ncnn"].folds]
            models = [run.outputs.model_outputs[0].model_id for run in runs]
            client.create_registered_model("leaf doctor")
            client.create_model_version("leaf doctor", f"models:/{models[1]}", runs[1].info.run_id, model_id=models[1])
            client.set_registered_model_alias("leaf doctor", "champion", "1")
        yield SimpleNamespace(studio=studio, result=result, runs=runs, models=models, client=client, folder=folder)


@pytest.fixture
def inside(study):
    with study.studio.inside():
        yield study


def address_of(study, way):
    run = study.runs[1].info.run_id
    return {
        "alias": "models:/leaf doctor@champion",
        "version": "models:/leaf doctor/1",
        "latest": "models:/leaf doctor/latest",
        "model": f"models:/{study.models[1]}",
        "run's model": f"runs:/{run}/model",
        "run": run,
        "names": "explained study/ncnn/1",
    }[way]


@pytest.mark.parametrize("way", ["version", "latest", "model", "run's model", "run", "names"])
def test_a_model_is_found_by_each_of_its_names(inside, tmp_path, way):
    found, known = (find_model(inside.client, address_of(inside, own), tmp_path) for own in (way, "alias"))
    assert (found.folder / "MLmodel").read_bytes() == (known.folder / "MLmodel").read_bytes()
    assert (found.backbone, found.seed, found.explanation) == (known.backbone, known.seed, known.explanation)
    assert "explained study ncnn/1" in found.title
    assert found.explanation["methods"] == ["gradcam", "smoothgrad"]


def test_a_model_is_explained_as_in_its_fold_run(inside, tmp_path):
    study = inside
    explained = [path for path in tree(study.client, study.runs[1], "explanations/gradcam") if path.endswith(".png")]
    predictions = table(study.client, study.runs[1], "predictions.parquet")
    by_stem = {row["path"].replace("/", "__").removesuffix(".png"): row for row in predictions.to_dict("records")}
    chosen = [by_stem[path.rpartition("/")[2].removesuffix(".png")] for path in explained]
    paths = [study.folder / "images" / row["path"] for row in chosen]
    done = explain_images(paths, address_of(study, "alias"), out=tmp_path / "out", faithfulness=0)
    own = done.table[done.table["method"] == "gradcam"].reset_index(drop=True)
    assert sorted(set(done.table["method"])) == ["gradcam", "smoothgrad"]
    assert own["predicted"].tolist() == own["target"].tolist() == [row["predicted"] for row in chosen]
    expected = [row[f"prob/{row['predicted']}"] for row in chosen]
    np.testing.assert_allclose(own["probability"], expected, atol=1e-5)
    for method in ("gradcam", "smoothgrad"):
        mine = done.table[done.table["method"] == method].reset_index(drop=True)
        for number, path in enumerate(explained):
            there = Image.open(
                study.client.download_artifacts(study.runs[1].info.run_id, path.replace("gradcam", method))
            )
            here = Image.open(done.out / mine["overlay"][number])
            np.testing.assert_allclose(np.asarray(here, int), np.asarray(there, int), atol=3)


def test_the_command_prints_what_the_table_holds_and_nothing_else(study, tmp_path):
    out = tmp_path / "out"
    image = f"images/{CLASSES[0]}/000.png"
    arguments = ["--model", "models:/leaf doctor@champion", "--method", "gradcam", "--top", "2", "--out", str(out)]
    done = study.studio.foldcam("explain", image, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    said = one_json(done.stdout)
    rows = pd.read_csv(out / "explanations.csv")
    assert said["out"] == str(out)
    assert said["model"].startswith("leaf doctor@champion (explained study ncnn/1")
    assert [row["target"] for row in said["explanations"]] == rows["target"].tolist()
    assert set(rows["target"]) == set(CLASSES)
    assert rows["image"].tolist() == [image, image]
    assert rows["rank"].tolist() == [1, 2]
    assert rows[["faithfulness", "faithfulness_random", "faithfulness_gaussian"]].notna().all(axis=None)
    assert "Traceback" not in done.stderr
    assert "oneDNN" not in done.stderr
    for row in said["explanations"]:
        heat = np.load(out / row["map"])
        assert heat.dtype == np.float32
        assert heat.shape == (50, 30)
        assert Image.open(out / row["overlay"]).size == (30, 50)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("models:/leaf doctr@champion", "Is leaf doctor meant"),
        ("models:/leaf doctor@winner", "not in MLflow's store"),
        ("models:/leaf doctor/7", "not in MLflow's store"),
        ("models:/leaf doctor", "models:/leaf doctor@champion"),
        ("models:/m-00000000000000000000000000000000", "not in MLflow's store"),
        ("runs:/00000000000000000000000000000000/model", "no run"),
        ("0" * 32, "no run"),
        ("explained study/ncnn/7", "Finished are: 0, 1"),
        ("explained study/vgg16/0", "It has: ncnn"),
        ("explained stud/ncnn/0", "Did you mean explained study"),
    ],
)
def test_a_model_that_is_not_there_is_named_with_the_nearest(inside, tmp_path, model, told):
    out = tmp_path / "out"
    message = foldcam("explain", inside.folder / "images", "--model", model, "--out", out).refused()
    assert told in message
    assert not out.exists()


@pytest.mark.parametrize("level", ["experiment", "backbone"])
def test_a_run_without_a_model_of_its_own_points_to_its_fold_runs(inside, tmp_path, level):
    result = inside.result
    run = result.experiment_run_id if level == "experiment" else result.backbones["ncnn"].run_id
    with pytest.raises(InputError, match="EXPERIMENT/BACKBONE/FOLD"):
        explain_images(inside.folder / "images", run, out=tmp_path / "out")


def test_what_the_model_brings_along_must_not_be_said(inside, tmp_path):
    answer = foldcam(
        *("explain", inside.folder / "images", "--model", "explained study/ncnn/0", "--out", tmp_path / "out"),
        *("--preprocessing", "vgg16", "--classes", "a,b"),
    )
    assert "--preprocessing, --classes" in answer.refused()


def test_a_keras_model_that_others_have_logged_is_explained(inside, tmp_path):
    study = inside
    mlflow.set_experiment("theirs")
    with mlflow.start_run() as run:
        mlflow.keras.log_model(built("sequential_in_sequential"), name="classifier", pip_requirements=["keras"])
    done = explain_images(
        study.folder / "images" / CLASSES[1] / "001.png",
        f"runs:/{run.info.run_id}/classifier",
        out=tmp_path / "out",
        faithfulness=0,
    )
    assert done.table["layer"][0].endswith("block")
    assert "class 0 to class 3" in done.warnings[0]


@pytest.mark.parametrize("what", ["the model's folder", "the network in it"])
def test_a_models_files_on_this_machine_are_explained_as_the_model(inside, tmp_path, what):
    study = inside
    image = study.folder / "images" / CLASSES[0] / "002.png"
    folder = mlflow.artifacts.download_artifacts(f"models:/{study.models[0]}", dst_path=str(tmp_path / "model"))
    [network] = Path(folder).rglob("network.keras")
    file = folder if what == "the model's folder" else network
    more = {"methods": ["gradcam"], "faithfulness": 0, "settings": ["colormap=jet"]}
    here = explain_images(image, file, out=tmp_path / "here", **more)
    there = explain_images(image, "explained study/ncnn/0", out=tmp_path / "there", **more)
    same = ["target", "predicted", "layer", "probability"]
    pd.testing.assert_frame_equal(here.table[same], there.table[same])
    maps = [np.load(done.out / done.table["map"][0]) for done in (here, there)]
    np.testing.assert_array_equal(*maps)
