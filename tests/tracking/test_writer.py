from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.tracking.records import Dataset, File, Folder, Metrics, Params, Tags, Text
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


def test_all_but_files_goes_in_one_call_and_what_is_too_much_for_one_in_several(writer, monkeypatch, tmp_path):
    calls = []

    def log_batch(_, metrics=(), params=(), tags=()):
        calls.append((len(metrics), len(params), len(tags)))

    monkeypatch.setattr(writer.client, "log_batch", log_batch)
    (tmp_path / "a.csv").touch()
    writer.write(
        [Metrics({"a": 1.0}), File(tmp_path / "a.csv"), Tags({"c": "d"}), Metrics({"b": 1.0}), Params({"p": 1})]
    )
    assert calls == [(2, 1, 1)]
    calls.clear()
    writer.write([Metrics({"a": 1.0, "b": 2.0}, step) for step in range(1100)])
    assert calls == [(1000, 0, 0), (1000, 0, 0), (200, 0, 0)]
    calls.clear()
    many = {f"n{number}": number for number in range(150)}
    writer.write([Params(many), Tags(dict.fromkeys(many, "x")), Metrics({f"m{number}": 1.0 for number in range(900)})])
    assert calls == [(800, 100, 100), (100, 50, 50)]
    calls.clear()
    writer.write([File(tmp_path / "a.csv")])
    assert calls == []


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


def test_something_that_is_no_record_is_refused(writer):
    with pytest.raises(TypeError, match="no way to write a dict"):
        writer.write([{"a": 1}])
