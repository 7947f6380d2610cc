"""A finished experiment's champion: registered, loaded by its alias, and what it answers."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from PIL import Image

from tasks.evaluation.outputs import scaled
from tasks.tracking.champion_log import training_digests
from tasks.tracking.models import find_model
from tests.support.images import picture

MODEL = "models:/lines@champion"
PICTURES = [picture(kind, 900 + seed, (40, 30)) for kind in (0, 1) for seed in range(4)]


def png(image) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def champion(lines):
    with lines.studio.inside():
        return mlflow.pyfunc.load_model(MODEL)


@pytest.fixture(scope="module")
def answers(champion):
    return champion.predict([png(image) for image in PICTURES])


@pytest.fixture(scope="module")
def folder(lines) -> Path:
    return find_model(lines.studio.client, MODEL, lines.folder / "copies").folder


def test_the_first_version_is_the_champion_and_the_decision_is_logged(lines):
    found, client = lines.result.champion, lines.studio.client
    assert (found["model"], found["version"], found["is_champion"]) == ("lines", "1", True)
    assert client.get_model_version_by_alias("lines", "champion").version in (1, "1")
    version = client.get_model_version("lines", "1")
    assert version.run_id == lines.result.experiment_run_id
    assert version.tags["foldcam.data_digest"] == lines.result.data_digest
    assert version.tags["foldcam.backbones"] == "ncnn"
    assert json.loads(version.tags["foldcam.promotion"])["moves"] is True
    assert "# lines" in version.description
    assert lines.result.data_digest in version.description
    run = client.get_run(lines.result.experiment_run_id)
    assert "There was no champion" in run.data.tags["foldcam.champion"]
    assert {"promotion.json", "model_card.md"} <= {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert "is the champion" in found["told"]
    assert lines.result.to_json()["champion"]["version"] == "1"


def test_bytes_base64_paths_and_arrays_are_answered_alike(champion, answers, tmp_path):
    files = []
    for number, image in enumerate(PICTURES):
        files.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(image).save(files[-1])
    texts = [base64.b64encode(png(image)).decode() for image in PICTURES]
    for given in (files, texts, PICTURES, np.stack(PICTURES), pd.DataFrame({"image": files}), {"image": texts}):
        pd.testing.assert_frame_equal(champion.predict(given), answers, rtol=0, atol=1e-6)
    one = champion.predict(PICTURES[3])
    pd.testing.assert_frame_equal(one, answers.iloc[3:4].reset_index(drop=True), rtol=0, atol=1e-6)


def test_probabilities_are_the_mean_of_the_calibrated_fold_models(lines, champion, answers):
    own = champion.unwrap_python_model().about
    columns = [f"prob/{name}" for name in own["classes"]]
    mean = np.zeros((len(PICTURES), 2))
    mlflow.set_tracking_uri(lines.studio.tracking_uri)
    for fold in lines.result.backbones["ncnn"].folds:
        network = own["members"][fold.fold]["networks"]["ncnn"]
        raw = mlflow.pyfunc.load_model(f"runs:/{fold.run_id}/model").predict(np.stack(PICTURES))
        mean += scaled(raw[own["classes"]].to_numpy(), "multiclass", network["weights"], network["biases"]) / 2
    np.testing.assert_allclose(answers[columns], mean, atol=1e-6)
    assert answers["label"].tolist() == [own["classes"][k] for k in mean.argmax(axis=1)]
    np.testing.assert_allclose(answers["probability"], mean.max(axis=1), atol=1e-6)
    assert all(set(own) <= {"across", "down"} for own in answers["prediction_set"])
    assert answers["abstains"].tolist() == [len(own) != 1 for own in answers["prediction_set"]]


def test_batches_of_any_size_give_the_same(champion, answers):
    for size in (1, 3, 100):
        found = champion.predict(PICTURES, params={"batch_size": size})
        pd.testing.assert_frame_equal(found, answers, rtol=0, atol=1e-6)


def test_overlays_have_their_pictures_size_and_show_something(champion, answers):
    found = champion.predict([*PICTURES[:2], PICTURES[2][:20]], params={"explain": True})
    for text, image in zip(found["overlay"], [*PICTURES[:2], PICTURES[2][:20]], strict=True):
        overlay = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
        assert overlay.shape == image.shape
        plain = np.rint(0.6 * image.astype(float) + 0.4 * np.array([0, 0, 4]))
        assert (np.abs(overlay - plain).max(axis=2) > 20).any()
    np.testing.assert_allclose(found["probability"][:2], answers["probability"][:2], atol=1e-6)


def test_one_fold_answers_as_that_fold_alone(champion):
    found = champion.predict(PICTURES, params={"one_fold": True, "batch_size": 3})
    members = champion.unwrap_python_model()._members(PICTURES)
    expected = [members[row % 2, row, 0] for row in range(len(PICTURES))]
    np.testing.assert_allclose(found["output/across"], expected, atol=1e-6)


def test_a_bad_image_is_refused_with_its_row_or_kept_as_a_row(champion, answers):
    given = [png(PICTURES[0]), b"nothing", png(PICTURES[1])]
    with pytest.raises(MlflowException, match="row 1") as caught:
        champion.predict(given)
    assert caught.value.get_http_status_code() == 400
    found = champion.predict(given, params={"on_error": "row", "explain": True, "batch_size": 2})
    assert found["error"].tolist() == ["", "not an image in a known format", ""]
    assert found["label"].tolist() == [answers["label"][0], None, answers["label"][1]]
    assert found["abstains"].tolist()[1] is True
    assert found["prob/down"].isna().tolist() == [False, True, False]
    assert found["prediction_set"][1] is None
    assert found["overlay"][1] is None
    nothing = champion.predict([b""], params={"on_error": "row"})
    assert len(nothing) == 1
    assert len(champion.predict([])) == 0
    with pytest.raises(MlflowException, match="batch_size"):
        champion.predict(given, params={"batch_size": 0})


def test_it_knows_which_images_it_has_learnt_from(lines, folder):
    client = lines.studio.client
    place = Path(client.get_run(lines.result.experiment_run_id).info.artifact_uri.removeprefix("file://"))
    manifest = pd.read_parquet(place / "manifest.parquet")
    assert training_digests(folder) == set(manifest["sha256"])
    reference = pd.read_parquet(folder / "artifacts" / "reference.parquet")
    assert len(reference) == 24
    assert reference["output/down"].notna().all()


def test_it_is_self_contained(folder, answers, tmp_path):
    """It loads and answers where foldcam cannot be imported, from a copy of its folder."""
    Image.fromarray(PICTURES[0]).save(tmp_path / "x.png")
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tasks", "flows", "tests"):
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
import shutil, mlflow
shutil.copytree({str(folder)!r}, {str(tmp_path / "moved")!r})
model = mlflow.pyfunc.load_model({str(tmp_path / "moved")!r})
found = model.predict([{str(tmp_path / "x.png")!r}], params={{"explain": True}})
print("ANSWER", found["probability"][0], len(found["overlay"][0]) > 100, "tasks" not in sys.modules)
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    _, probability, overlay, alone = done.stdout.strip().splitlines()[-1].split()
    assert float(probability) == pytest.approx(answers["probability"][0], abs=1e-6)
    assert (overlay, alone) == ("True", "True")


def test_it_says_what_it_takes_and_what_it_needs(folder, champion):
    signature = champion.metadata.signature
    assert signature.inputs.input_names() == ["image"]
    assert signature.outputs.input_names()[:6] == [
        "label",
        "probability",
        "prediction_set",
        "abstains",
        "prob/across",
        "prob/down",
    ]
    assert {own.name for own in signature.params.params} == {"explain", "batch_size", "on_error", "one_fold"}
    needed = (folder / "requirements.txt").read_text().split()
    assert {own.partition("==")[0] for own in needed} == {"tensorflow", "keras", "mlflow", "numpy", "pandas", "pillow"}
    example = json.loads((folder / "serving_input_example.json").read_text())
    assert len(champion.predict(example["inputs"])) == 1
