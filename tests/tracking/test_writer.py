from __future__ import annotations

import json
from pathlib import Path

import keras
import mlflow
import numpy as np
import pandas as pd
import pytest

from tasks.tracking.records import Dataset, File, Folder, Metrics, Model, Params, Tags, Text
from tasks.tracking.writer import Writer


@pytest.fixture
def writer(uri, run_id):
    return Writer(uri, run_id)


@pytest.fixture
def written(writer, client, run_id):
    """Write records and give the run as the store has it."""

    def write(*records):
        writer.write(records)
        return client.get_run(run_id)

    return write


def artifact(client, run_id, name) -> Path:
    return Path(client.download_artifacts(run_id, name))


def test_tags_are_set_and_a_later_value_counts(written):
    run = written(Tags({"one": "1", "größe": "klein"}), Tags({"one": "2"}))
    assert (run.data.tags["one"], run.data.tags["größe"]) == ("2", "klein")


def test_parameters_become_texts_more_of_them_than_fit_into_a_call_and_long_ones_are_cut(written):
    many = {f"p{number}": number for number in range(230)}
    run = written(Params(many | {"none": None, "list": [1, "zwei"], "long": "x" * 9000}))
    assert {name: run.data.params[name] for name in many} == {name: str(value) for name, value in many.items()}
    assert run.data.params["none"] == "None"
    assert run.data.params["list"] == "[1, 'zwei']"
    assert run.data.params["long"] == "x" * 6000


def test_metrics_keep_their_steps_and_values(written, client, run_id):
    written(
        Metrics({"val/loss": 0.5, "f1/große Äpfel": 1}, step=0), Metrics({"val/loss": 0.25}, step=1), Metrics({"a": 3})
    )
    history = client.get_metric_history(run_id, "val/loss")
    assert [(metric.step, metric.value) for metric in history] == [(0, 0.5), (1, 0.25)]
    assert client.get_run(run_id).data.metrics == {"val/loss": 0.25, "f1/große Äpfel": 1.0, "a": 3.0}


def test_neighbouring_metrics_go_in_one_call_and_many_in_several(writer, monkeypatch):
    sizes = []
    monkeypatch.setattr(writer.client, "log_batch", lambda _, metrics=(), **__: sizes.append(len(metrics)))
    writer.write([Metrics({"a": 1.0, "b": 2.0}, step) for step in range(1100)])
    assert sizes == [1000, 1000, 200]
    sizes.clear()
    writer.write([Metrics({"a": 1.0}), Metrics({"b": 1.0}), Tags({"c": "d"}), Metrics({"e": 1.0})])
    assert sizes == [2, 0, 1]


def test_thousands_of_metrics_arrive(written, client, run_id):
    written(*(Metrics({"loss": 1 / (step + 1)}, step) for step in range(2500)))
    assert len(client.get_metric_history(run_id, "loss")) == 2500


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -np.inf, np.float32("nan")])
def test_a_metric_that_is_no_finite_number_is_refused_by_name(written, client, run_id, bad):
    with pytest.raises(ValueError, match=r"these are not: val/loss$"):
        written(Metrics({"fine": 1.0, "val/loss": bad}))
    assert client.get_run(run_id).data.metrics == {}


def test_files_folders_and_texts_become_artifacts(written, client, run_id, tmp_path):
    made = tmp_path / "made"
    (made / "plots" / "gradcam").mkdir(parents=True)
    (made / "history.csv").write_text("a\n1\n")
    (made / "plots" / "loss.png").write_bytes(b"png")
    (made / "plots" / "gradcam" / "große Äpfel.png").write_bytes(b"map")
    written(
        File(made / "history.csv"),
        File(made / "history.csv", "tables"),
        Folder(made / "plots", "pictures"),
        Text("name: Grüße\n", "experiment.yaml"),
    )
    assert artifact(client, run_id, "history.csv").read_text() == "a\n1\n"
    assert artifact(client, run_id, "tables/history.csv").read_text() == "a\n1\n"
    assert artifact(client, run_id, "pictures/gradcam/große Äpfel.png").read_bytes() == b"map"
    assert artifact(client, run_id, "pictures/loss.png").read_bytes() == b"png"
    assert artifact(client, run_id, "experiment.yaml").read_text(encoding="utf-8") == "name: Grüße\n"


def test_the_table_of_images_is_logged_as_the_runs_dataset(written, recwarn):
    table = pd.DataFrame({"path": ["a/1.png", "b/2.png"], "label": ["a", "b"], "width": [3, 4]})
    run = written(Dataset(table, "faces", "0123456789abcdef" * 4, "/data/faces"))
    [entry] = run.inputs.dataset_inputs
    assert (entry.dataset.name, entry.dataset.digest) == ("faces", ("0123456789abcdef" * 4)[:32])
    assert json.loads(entry.dataset.profile)["num_rows"] == 2
    assert "/data/faces" in entry.dataset.source
    assert {tag.key: tag.value for tag in entry.tags}["mlflow.data.context"] == "cross-validation"
    assert [str(warning.message) for warning in recwarn if issubclass(warning.category, UserWarning)] == []


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network that gives the shares of red, green and blue in an image of 6 pixels."""
    images = keras.Input((6, 6, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(images))
    scores = keras.layers.Dense(3, kernel_initializer=keras.initializers.Identity(9), name="logits")(pooled)
    model = keras.Model(images, keras.layers.Softmax()(scores))
    file = tmp_path_factory.mktemp("network") / "network.keras"
    model.save(file)
    return file


CLASSES = ("blässlich rot", "grün", "b/lau")


def test_a_model_predicts_after_loading_by_class_name_from_raw_images(written, client, run_id, network):
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 7, 3), dtype=np.uint8)
    run = written(Model(network, CLASSES, 6, images[:2], {"backbone": "ncnn"}))
    [output] = run.outputs.model_outputs
    logged = client.get_logged_model(output.model_id)
    assert (logged.name, logged.params) == ("model", {"backbone": "ncnn"})
    for address in (f"runs:/{run_id}/model", f"models:/{output.model_id}"):
        served = mlflow.pyfunc.load_model(address)
        answer = served.predict(images)
        assert list(answer.columns) == list(CLASSES)
        assert answer.shape == (5, 3)
        np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)
    red = np.zeros((1, 6, 6, 3), np.uint8)
    red[..., 0] = 200
    assert served.predict(red).idxmax(axis=1).tolist() == ["blässlich rot"]
    signature = mlflow.models.get_model_info(f"runs:/{run_id}/model").signature
    assert signature.inputs.inputs[0].shape == (-1, -1, -1, 3)
    assert signature.outputs.input_names() == list(CLASSES)
    np.testing.assert_array_equal(served.input_example, images[:2])


def test_writing_a_model_leaves_no_run_active_and_the_run_open_for_more(written, network):
    images = np.zeros((1, 6, 6, 3), np.uint8)
    run = written(Model(network, CLASSES, 6, images, {}), Metrics({"seconds/log": 1.0}))
    assert mlflow.active_run() is None
    assert run.data.metrics == {"seconds/log": 1.0}
    assert run.info.status == "RUNNING"


def test_something_that_is_no_record_is_refused(writer):
    with pytest.raises(TypeError, match="no way to write a dict"):
        writer.write([{"a": 1}])
