"""The shipped file on photographs without labels, run through the flow with Xception and a made weight file."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

import flows
from flows.explain import explain_photographs
from tasks.dataset.pixels.images import decode, resize
from tasks.dataset.pixels.shaping import STRETCHED
from tasks.experiment_file import read_experiment
from tasks.explanation.drawing import tile
from tasks.explanation.maps import normalise
from tasks.explanation.overlays import overlay_of_square
from tests.support.command import foldcam
from tests.support.imagenet import NAMED, write_class_index, write_network
from tests.support.kept_workers import kept_workers
from tests.support.readback import artifact, table, tree
from tests.support.studio import make_studio, one_json
from tests.support.study_layouts import photographs

FILE = Path(flows.__file__).parent / "experiments" / "imagenet.yaml"
NAMES = {"holiday/cat.png": "holiday__cat", "on the beach.jpg": "on the beach"}
CHOSEN = {281: "tabby", 134: "crane"}
TOP = 4


def settings(place, *more):
    own = [f"data.path={place.photographs}", f"model.weights={place.weights}", "backbones=[xception]"]
    return [*own, f"explanation.top={TOP}", "explanation.classes=[tabby, n02012849]", "runner.workers=1", *more]


def command(place, *more):
    options = [option for setting in settings(place, *more) for option in ("--set", setting)]
    with place.studio.inside(), kept_workers():
        return foldcam("run", FILE, *options, "--json")


@pytest.fixture(scope="module")
def place(tmp_path_factory, empty_store, prefect_api):
    """Photographs, weights and class names on disk, and Keras's own network with these weights."""
    folder = tmp_path_factory.mktemp("photographs")
    write_class_index(folder / "keras")
    return SimpleNamespace(
        studio=make_studio(folder / "studio", empty_store, prefect_api, KERAS_HOME=str(folder / "keras")),
        photographs=photographs(folder / "data"),
        weights=folder / "xception.h5",
        network=write_network("Xception", folder / "xception.h5"),
        keras=folder / "keras" / "models",
    )


@pytest.fixture(scope="module")
def run(place):
    with place.studio.inside(), kept_workers():
        result = explain_photographs(read_experiment(FILE, settings(place)))
    assert result.status == "completed", result.failures
    client = place.studio.client
    return SimpleNamespace(
        result=result,
        client=client,
        experiment=client.get_run(result.experiment_run_id),
        backbone=client.get_run(result.backbones["xception"].run_id),
    )


def squares(place):
    """The photographs as Keras's own network takes them, before its own scaling."""
    pictures = {path: decode(place.photographs / path) for path in NAMES}
    return pictures, np.stack([resize(picture, 299) for picture in pictures.values()]).astype(np.float32)


def test_probabilities_are_those_of_keras_own_network_and_scaling(place, run):
    found = table(run.client, run.backbone, "predictions.parquet")
    _, images = squares(place)
    expected = place.network.predict(keras.applications.xception.preprocess_input(images), verbose=0)
    assert list(found.columns) == ["image", "rank", "class", "synset", "probability", "logit"]
    for path, chances in zip(NAMES, expected, strict=True):
        own = found[found["image"] == path]
        likeliest = np.argsort(-chances)
        assert own["rank"].tolist()[:TOP] == [1, 2, 3, 4]
        assert own["class"].tolist()[:TOP] == [NAMED.get(k, ("", f"thing_{k}"))[1] for k in likeliest[:TOP]]
        np.testing.assert_allclose(own["probability"][:TOP], chances[likeliest[:TOP]], atol=1e-5)
        for number, name in CHOSEN.items():
            row = own[own["synset"] == NAMED[number][0]].iloc[0]
            assert (row["class"], row["rank"]) == (name, likeliest.tolist().index(number) + 1)
            assert row["probability"] == pytest.approx(chances[number], abs=1e-5)
            below_the_first = np.log(chances[number] / chances.max())
            assert row["logit"] - own["logit"].iloc[0] == pytest.approx(below_the_first, abs=1e-3)


def plain_map(network, images, number):
    """Grad-CAM of one class's logit, written once more, with a tape over the network that ends before its softmax."""
    cam, classifier = network.get_layer("block14_sepconv2_act").output, network.get_layer("predictions")
    cut = keras.Model(network.input, [cam, classifier.input])
    with tf.GradientTape() as tape:
        activations, _ = cut(keras.applications.xception.preprocess_input(images.copy()))
        tape.watch(activations)
        logits = tf.reduce_mean(activations, axis=(1, 2)) @ classifier.kernel + classifier.bias
        score = logits[:, number]
    weights = tf.reduce_mean(tape.gradient(score, activations), axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * activations, axis=-1)).numpy()


@pytest.mark.parametrize(("number", "name"), [(None, None), *CHOSEN.items()])
def test_an_overlay_shows_the_gradient_of_its_classs_logit_on_the_whole_picture(place, run, number, name):
    found = table(run.client, run.backbone, "predictions.parquet").set_index(["image", "rank"])
    pictures, images = squares(place)
    for row, (path, folder) in enumerate(NAMES.items()):
        if name is None:
            rank, label = 1, found.loc[(path, 1), "class"]
            number = int(label.removeprefix("thing_"))
        else:
            own = found.loc[path]
            rank, label = int(own.index[own["synset"] == NAMED[number][0]][0]), name
        file = artifact(run.client, run.backbone, f"explanations/gradcam/{folder}/{rank:04d}_{label}.png")
        heat = normalise(plain_map(place.network, images[row : row + 1], number))[0]
        expected = overlay_of_square(pictures[path], heat, STRETCHED, 0.4, "jet")
        overlay = np.asarray(Image.open(file)).astype(int)
        assert overlay.shape == pictures[path].shape
        assert np.abs(overlay - expected).mean() < 0.5
        assert heat.max() == 1


def test_a_figure_has_the_picture_and_the_maps_in_rows_of_three(run, place):
    pictures, _ = squares(place)
    found = table(run.client, run.backbone, "predictions.parquet")
    for path, folder in NAMES.items():
        figure = Image.open(artifact(run.client, run.backbone, f"explanations/figures/{folder}.png"))
        own = found[found["image"] == path].to_dict("records")
        names = [f"explanations/gradcam/{folder}/{row['rank']:04d}_{row['class']}.png" for row in own]
        overlays = [np.asarray(Image.open(artifact(run.client, run.backbone, name))) for name in names]
        panels = [tile(picture, 240) for picture in (pictures[path], *overlays)]
        assert len(panels) == 1 + TOP + len(CHOSEN)
        for number, panel in enumerate(panels):
            left, top = 28 + number % 3 * 252, 136 + number // 3 * 298
            assert np.array_equal(figure.crop((left, top, left + 240, top + 240)), panel), number
        assert figure.height == 136 + 3 * 298 + 16


def test_the_record_has_an_experiment_and_a_backbone_and_no_folds(run, place):
    levels = [found.data.tags["foldcam.level"] for found in place.studio.runs()]
    assert sorted(levels) == ["backbone", "experiment"]
    assert run.backbone.data.tags["mlflow.parentRunId"] == run.experiment.info.run_id
    for found in (run.experiment, run.backbone):
        assert found.data.tags["foldcam.status"] == "completed"
        assert found.data.tags["foldcam.data_digest"] == run.result.data_digest
        assert found.info.status == "FINISHED"
    assert run.backbone.data.tags["foldcam.backbone"] == "xception"
    assert run.backbone.data.params["cam_layer"] == "block14_sepconv2_act"
    assert {"experiment.yaml", "photographs.parquet", "contact_sheet.png"} == set(tree(run.client, run.experiment))
    kept = set(tree(run.client, run.backbone))
    assert {"predictions.csv", "predictions.parquet", "explanations/contact_sheet.png"} < kept
    assert len([path for path in kept if "/gradcam/" in path]) == 2 * (TOP + len(CHOSEN))


def test_a_second_call_does_nothing_anew_and_its_json_has_the_keys_of_a_run(run, place):
    answer = command(place)
    assert answer.code == 0, answer.err
    found = one_json(answer.out)
    assert set(found) == {
        *("experiment", "experiment_run_id", "status", "data_digest"),
        *("backbones", "ranking", "report", "seconds"),
    }
    assert found["experiment_run_id"] == run.experiment.info.run_id
    own = found["backbones"]["xception"]
    assert own == {"run_id": run.backbone.info.run_id, "status": "reused", "error": None, "metrics": {}, "folds": []}
    assert (found["ranking"], found["report"], found["status"]) == ([], None, "completed")
    assert len(place.studio.runs()) == 2
    said = pd.read_csv(artifact(run.client, run.backbone, "predictions.csv"))
    with place.studio.inside():
        again = explain_photographs(read_experiment(FILE, settings(place)))
    assert again.predictions["class"].tolist() == said["class"].tolist()


def test_an_unknown_class_is_refused_with_the_nearest(place):
    answer = command(place, "explanation.classes=[taby]", "name=typo")
    message = answer.refused()
    assert "none called 'taby'. The nearest: tabby." in message
    assert answer.out == ""
    told = [run for run in place.studio.runs() if "none called" in run.data.tags.get("foldcam.error", "")]
    assert {run.info.status for run in told} == {"FAILED"}


def test_missing_weights_are_told_in_one_paragraph_with_the_file_and_its_folder(place, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    message = command(place, "model.weights=imagenet", "name=offline").refused()
    assert f"xception_weights_tf_dim_ordering_tf_kernels.h5 is not whole in {place.keras}" in message
    assert "weights: none" not in message


def test_a_backbone_that_failed_is_told_and_done_by_the_next_call(place):
    small = ("name=limit", "explanation.top=1", "explanation.classes=[]")
    answer = command(place, *small, "runner.timeout_minutes=0.001", "runner.retries=0")
    assert answer.code == 3, answer.err
    first = one_json(answer.out)
    assert first["status"] == "failed"
    assert "longer than the limit" in first["backbones"]["xception"]["error"]
    assert "xception: failed: it took longer" in answer.err
    answer = command(place, *small)
    assert answer.code == 0, answer.err
    second = one_json(answer.out)
    assert second["experiment_run_id"] == first["experiment_run_id"]
    assert second["backbones"]["xception"]["run_id"] == first["backbones"]["xception"]["run_id"]
    assert second["backbones"]["xception"]["status"] == "completed"
    ended = place.studio.client.get_run(second["experiment_run_id"])
    assert ended.data.tags["foldcam.status"] == "completed"
    assert "foldcam.error" not in ended.data.tags
