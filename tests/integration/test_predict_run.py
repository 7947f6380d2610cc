from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName, FlowRunFilter

from flows.predict_images import predict_images
from tasks.tracking.models import find_model
from tests.support.command import foldcam
from tests.support.images import write_classes
from tests.support.processes import ended, until
from tests.support.readback import table
from tests.support.studio import one_json

FOLD, CHAMPION = "lines/ncnn/1", "models:/lines@champion"
FUTURE = "from __future__ import annotations"


@pytest.fixture
def inside(lines):
    with lines.studio.inside():
        yield lines


def test_a_fold_model_gives_what_its_fold_run_gave(inside, tmp_path):
    found = predict_images("images", FOLD, out=tmp_path / "out.parquet")
    client = inside.studio.client
    run = client.get_run(inside.result.backbones["ncnn"].folds[1].run_id)
    logged = table(client, run, "predictions.parquet")
    mine = pd.read_parquet(found.out).set_index("image")
    for row in logged.to_dict("records"):
        own = mine.loc[f"images/{row['path']}"]
        assert own["label"] == row["predicted"]
        assert own["prob/down"] == pytest.approx(row["prob/down"], abs=1e-5)
    assert found.drift is None


@pytest.mark.parametrize("model", [FOLD, CHAMPION])
def test_overlays_are_as_large_as_their_images(inside, tmp_path, model):
    found = predict_images("images/down", model, out=tmp_path / "out.csv", explain=True, batch_size=5)
    rows = pd.read_csv(found.out)
    sizes = [Image.open(tmp_path / name).size for name in rows["overlay"]]
    assert sizes == [(30, 40)] * 12


def test_the_champion_says_how_sure_it_is_and_finds_no_drift_in_its_own_images(inside, tmp_path):
    found = predict_images("images", CHAMPION, out=tmp_path / "out.parquet")
    rows = pd.read_parquet(found.out)
    assert rows["abstains"].dtype == bool
    sets = [json.loads(text) for text in rows["prediction_set"]]
    assert [len(one) != 1 for one in sets] == rows["abstains"].tolist()
    assert found.version == "1"
    kinds = {row["kind"] for row in found.drift["statistics"]}
    assert kinds == {"image", "output"}
    assert not any(row["drifted"] for row in found.drift["statistics"] if row["kind"] == "image")
    assert json.loads(found.drift_file.read_text())["n_new"] == 24


def test_darker_and_larger_images_have_drifted(inside, tmp_path):
    folder = tmp_path / "later"
    folder.mkdir()
    for number, file in enumerate(sorted((inside.folder / "images").rglob("*.png"))):
        Image.open(file).resize((60, 80)).point(lambda level: level // 4).save(folder / f"{number}.png")
    found = predict_images(folder, CHAMPION, out=tmp_path / "out.parquet")
    said = " ".join(found.drift["said"])
    assert found.drift["drifted"]
    assert "Darker than" in said
    assert "Wider than" in said


def test_a_bad_image_is_a_row_and_the_command_ends_with_3(inside, tmp_path):
    write_classes(tmp_path / "in", {"any": 3}, size=(20, 20))
    (tmp_path / "in" / "any" / "bad.png").write_bytes(b"no image")
    answer = foldcam("predict", tmp_path / "in", "--model", CHAMPION, "--out", tmp_path / "out.csv", "--json")
    assert answer.code == 3, answer
    found = one_json(answer.out)
    assert found["status"] == "partial"
    assert (found["n_images"], found["n_failed"]) == (4, 1)
    assert found["errors"][0]["image"].endswith("any/bad.png")
    assert found["model"] == "lines@champion"
    assert "1 image could not be predicted" in answer.err
    assert pd.read_csv(tmp_path / "out.csv")["error"].notna().sum() == 1


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["empty", "--model", CHAMPION, "--out", "x.csv"], "holds no image"),
        (["", "--model", CHAMPION, "--out", "x.csv"], "PATH is empty"),
        (["images", "--model", CHAMPION, "--out", "x.txt"], "is no table's name"),
        (["x.png", "--model", CHAMPION, "--out", "x.csv"], "The image cannot be predicted: x.png (the file is empty)"),
        (["list.csv", "--model", CHAMPION, "--out", "list.csv", "--fresh"], "is what is to be predicted"),
        (["images", "--model", "models:/lines@later", "--out", "x.csv"], "--model"),
        (["images", "--model", CHAMPION, "--out", "x.csv", "--batch-size", "0"], "--batch-size"),
        (["images", "--model", CHAMPION, "--out", "x.csv", "--column", "path"], "--column"),
        (["images", "--model", "vgg16", "--weights", "imagenet", "--out", "x.csv", "--size", "64"], "--size"),
        (["images", "--model", CHAMPION, "--out", "x.csv", "--cron", "nightly"], "is not a cron"),
        (["images", "--model", CHAMPION, "--out", "x.csv", "--cron", "0 2 * * *", "--json"], "--json"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_paragraph(inside, arguments, part):
    (inside.folder / "empty").mkdir(exist_ok=True)
    (inside.folder / "x.png").touch()
    (inside.folder / "list.csv").write_text("image\nx.png\n")
    assert part in foldcam("predict", *arguments).refused()
    assert not list(inside.folder.glob("x.csv*"))


def test_code_in_a_folder_runs_only_where_it_is_trusted(inside, tmp_path):
    found = find_model(inside.studio.client, CHAMPION, tmp_path / "copies").folder
    folder, ran = shutil.copytree(found, tmp_path / "given"), tmp_path / "ran"
    (code,) = folder.glob("champion_model.py")
    code.write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n" + code.read_text().replace(FUTURE, ""))
    arguments = ["predict", "images/down", "--model", folder, "--out", tmp_path / "out.csv"]
    assert "give --trust" in foldcam(*arguments).refused()
    assert not ran.exists()
    assert foldcam(*arguments, "--trust").code == 0
    assert ran.exists()


def test_it_is_logged_apart_from_the_experiments(inside, tmp_path):
    (tmp_path / "list.csv").write_text("path\n" + "\n".join(map(str, sorted(inside.folder.rglob("down/*.png")))))
    answer = foldcam("predict", tmp_path / "list.csv", "--model", CHAMPION, "--out", tmp_path / "o.parquet", "--log")
    assert answer.code == 0, answer
    [run] = inside.studio.runs("prediction")
    assert inside.studio.client.get_experiment(run.info.experiment_id).name == "lines predictions"
    assert run.info.status == "FINISHED"
    assert run.data.tags["foldcam.model"] == CHAMPION
    assert run.data.tags["foldcam.model_version"] == "1"
    metrics = run.data.metrics
    assert metrics["n_images"] == 12
    assert metrics["share/down"] + metrics["share/across"] == pytest.approx(1)
    assert 0 <= metrics["drift/brightness"] <= 1
    files = {entry.path for entry in inside.studio.client.list_artifacts(run.info.run_id)}
    assert {"o.parquet", "o_drift.json"} <= files
    assert len(inside.studio.runs("experiment")) == 1


def test_a_stopped_command_goes_on_where_it_was(lines, tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "many.npy", rng.integers(0, 255, (6000, 24, 24), dtype=np.uint8))
    arguments = ["predict", str(tmp_path / "many.npy"), "--model", FOLD, "--out", str(tmp_path / "out.parquet")]
    process = lines.studio.start(*arguments)
    with ended(process):
        until(lambda: list((tmp_path / "out.parquet.parts").glob("0*.parquet")), 60, "a first part")
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert "goes on from there" in err
    assert not (tmp_path / "out.parquet").exists()
    again = lines.studio.foldcam(*arguments, "--json")
    assert again.returncode == 0, again.stderr
    found = one_json(again.stdout)
    assert found["n_images"] == 6000
    assert 256 <= found["n_reused"] < 6000
    rows = pd.read_parquet(tmp_path / "out.parquet")
    assert rows["image"].tolist() == [f"{tmp_path}/many.npy#{number:04d}" for number in range(6000)]
    assert not (tmp_path / "out.parquet.parts").exists()


async def runs_of(name):
    """Give the deployment of this name, and its flow runs that have ended."""
    async with get_client() as client:
        wanted = DeploymentFilter(name=DeploymentFilterName(any_=[name]))
        found = await client.read_deployments(deployment_filter=wanted)
        if not found:
            return None, []
        runs = await client.read_flow_runs(flow_run_filter=FlowRunFilter(deployment_id={"any_": [found[0].id]}))
        return found[0], [run for run in runs if run.state.is_final()]


def test_a_schedule_predicts_what_is_there_by_then_and_logs_it(lines, tmp_path):
    write_classes(tmp_path / "inbox", {"any": 3}, size=(40, 30))
    out = tmp_path / "out.csv"
    arguments = ["predict", str(tmp_path / "inbox"), "--model", FOLD, "--out", str(out), "--cron", "* * * * * */20"]
    process = lines.studio.start(*arguments)
    with ended(process):
        said = process.stdout.readline()
        over = until(lambda: asyncio.run(runs_of("predict inbox"))[1], 180, "a run by the clock")
        deployment, _ = asyncio.run(runs_of("predict inbox"))
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert "'predict inbox'" in said
    assert process.returncode == 0, err
    assert over[0].state.type.value == "COMPLETED", over[0].state
    assert over[0].state.message == "3 images, 0 without a prediction"
    assert {"path", "model", "out", "log"} <= deployment.parameter_openapi_schema["properties"].keys()
    assert len(pd.read_csv(out)) == 3
    runs = lines.studio.runs("prediction")
    assert str(tmp_path / "inbox") in [run.data.params["images"] for run in runs]
