from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from flows.observing import observed
from flows.runners import free_port
from tasks.config import InputError
from tasks.tracking.node_ledger import Superseded
from tasks.tracking.patience import Unreachable
from tasks.workers.events import FoldEvent, PlanEvent, StepEvent, publish
from tasks.workers.failures import KINDS, kind_of
from tasks.workers.figures import Figures, asked_file, asked_port, kept
from tasks.workers.pool import JobFailed, OutOfMemory, PoolClosed

DASHBOARD = Path(__file__).parents[2] / "infra" / "dashboard"

STORY = (
    PlanEvent(("ncnn", "vgg16"), (0, 1), "accuracy", 2),
    StepEvent("decoding images", 3, 4),
    FoldEvent("vgg16", 0, "reused"),
    FoldEvent("ncnn", 0, "starting"),
    FoldEvent("ncnn", 0, "training", epoch=1, epochs=2, seconds=2.0, images=50),
    FoldEvent("ncnn", 0, "training", epoch=2, epochs=2, seconds=4.0, images=50),
    FoldEvent("ncnn", 1, "starting"),
    FoldEvent("ncnn", 1, "retrying", message="gone", kind="killed"),
    FoldEvent("ncnn", 1, "failed", message="gone", kind="killed"),
)


def values(text):
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "experiment"}
            found[sample.name, *labels.values()] = sample.value
    return found


@pytest.fixture
def told_story():
    from prometheus_client import generate_latest

    figures = Figures("faces")
    for event in STORY:
        figures(event)
    return figures, lambda: values(generate_latest(figures.registry).decode())


def test_the_figures_say_what_the_events_said(told_story):
    figures, read = told_story
    found = read()
    states = ("queued", "running", "completed", "failed", "reused")
    assert [found["foldcam_fold_runs", "ncnn", state] for state in states] == [0, 1, 0, 1, 0]
    assert [found["foldcam_fold_runs", "vgg16", state] for state in states] == [1, 0, 0, 0, 1]
    assert found["foldcam_queue_length",] == 1
    assert found["foldcam_workers",] == 2
    assert found["foldcam_epoch_seconds_count", "ncnn"] == 2
    assert found["foldcam_epoch_seconds_sum", "ncnn"] == 6
    assert found["foldcam_epoch_seconds_bucket", "ncnn", "3.0"] == 1
    assert found["foldcam_images_per_second", "ncnn"] == 12.5
    assert found["foldcam_retries_total", "ncnn", "killed"] == 1
    assert found["foldcam_failures_total", "ncnn", "killed"] == 1
    assert found["foldcam_step_done_ratio", "decoding images"] == 0.75
    assert found["foldcam_memory_bytes", "foldcam"] > 10e6
    figures(FoldEvent("ncnn", 0, "completed", seconds=9.0))
    assert read()["foldcam_fold_run_seconds_sum", "ncnn"] == 9


def test_at_the_end_nothing_is_running_any_more(told_story):
    figures, read = told_story
    assert read()["foldcam_ended_timestamp_seconds",] == 0
    figures.end("partial")
    found = read()
    assert found["foldcam_fold_runs", "ncnn", "running"] == 0
    assert found["foldcam_queue_length",] == 0
    assert found["foldcam_experiment_status", "partial"] == 1
    assert found["foldcam_ended_timestamp_seconds",] > found["foldcam_started_timestamp_seconds",] - 1


def test_they_are_served_on_loopback_while_the_block_lasts_and_stay_in_the_file(monkeypatch, tmp_path):
    port, file = free_port(), tmp_path / "foldcam.prom"
    monkeypatch.setenv("FOLDCAM_METRICS_PORT", str(port))
    monkeypatch.setenv("FOLDCAM_METRICS_FILE", str(file))
    address = f"http://127.0.0.1:{port}/metrics"
    with observed("faces") as ended:
        publish(STORY[0])
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert values(answer.read().decode())["foldcam_queue_length",] == 4
        assert values(file.read_text())["foldcam_queue_length",] == 4
        ended("completed")
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address, timeout=5)
    assert values(file.read_text())["foldcam_experiment_status", "completed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["foldcam.prom"]


def test_a_run_that_breaks_ends_as_failed(monkeypatch, tmp_path):
    monkeypatch.setenv("FOLDCAM_METRICS_FILE", str(tmp_path / "x.prom"))
    with pytest.raises(KeyError), observed("faces"):
        raise KeyError
    assert values((tmp_path / "x.prom").read_text())["foldcam_experiment_status", "failed"] == 1


def test_a_port_that_is_taken_is_said_and_the_run_goes_on(monkeypatch, caplog):
    port = free_port()
    monkeypatch.setenv("FOLDCAM_METRICS_PORT", str(port))
    with kept("one"), kept("two") as second:
        second(STORY[0])
    assert f"127.0.0.1:{port}" in caplog.text


def test_without_the_variables_nobody_listens(monkeypatch):
    from tasks.workers import events

    for name in ("FOLDCAM_METRICS_PORT", "FOLDCAM_METRICS_FILE"):
        monkeypatch.delenv(name, raising=False)
    before = list(events._listeners)
    with observed("faces"):
        assert events._listeners == before


@pytest.mark.parametrize("value", ["abc", "0", "70000", "-1", "80 "])
def test_what_is_no_port_is_refused(monkeypatch, value):
    monkeypatch.setenv("FOLDCAM_METRICS_PORT", value)
    with pytest.raises(InputError, match="FOLDCAM_METRICS_PORT"):
        asked_port()


def test_a_file_that_node_exporter_would_not_read_is_refused(monkeypatch, tmp_path):
    for file in (tmp_path / "figures.txt", tmp_path / "gone" / "x.prom"):
        monkeypatch.setenv("FOLDCAM_METRICS_FILE", str(file))
        with pytest.raises(InputError, match="FOLDCAM_METRICS_FILE"):
            asked_file()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (JobFailed("the worker process died: killed by SIGKILL (often: out of memory)", final=False), "killed"),
        (JobFailed("the worker process died: exit code 3", final=False), "died"),
        (JobFailed("it took longer than the limit of 60 seconds", final=False), "time limit"),
        (JobFailed("the worker ran out of memory: x", final=False), "memory"),
        (JobFailed("the training loss became nan in epoch 2: the fit diverged. A smaller …", final=True), "diverged"),
        (JobFailed("Unknown freeze point", final=True), "input"),
        (OutOfMemory("the worker process died: exit code 1; its last words: bad_alloc"), "memory"),
        (JobFailed("the worker process died: killed by the kernel, which was out of memory", final=False), "memory"),
        (RuntimeError("Task was killed due to the node running low on memory."), "memory"),
        (JobFailed("the worker gave no sign of life for 300 seconds: … is out of memory", final=False), "time limit"),
        (JobFailed("OSError: [Errno 28] No space left on device: 'x'", final=False), "disk"),
        (InputError("The cache folder x cannot be written: Read-only file system. Make room there"), "disk"),
        (JobFailed("Damaged: the table x is damaged or gone; it is written again", final=False), "disk"),
        (RuntimeError("The worker died unexpectedly while executing this task. Check …"), "killed"),
        (RuntimeError("… but all 4 workers died while running it."), "killed"),
        (Superseded("the fold run was taken for lost and begun again elsewhere"), "killed"),
        (Unreachable("MLflow's store at http://x could not be reached: nothing listens there."), "server"),
        (JobFailed("MlflowException: API request failed", final=False), "server"),
        (JobFailed("KeyError: 'x'", final=False), "other"),
        (PoolClosed(), "stopped"),
        (KeyboardInterrupt(), "stopped"),
        (InputError("x"), "input"),
    ],
)
def test_failures_have_kinds(fault, kind):
    assert kind_of(fault) == kind
    assert kind in KINDS


def labelled():
    """Every figure's name as Prometheus has it, with its labels."""
    figures = Figures("x")
    found = {}
    for family in figures.registry._names_to_collectors.items():
        name, collector = family
        found[name] = {*collector._labelnames, *({"le"} if name.endswith("_bucket") else ())}
    return found


WORDS = {"by", "sum", "max", "time", "rate", "histogram_quantile", "and", "on", "le", "label_values", "without"}


def queries():
    board = json.loads((DASHBOARD / "foldcam.json").read_text(encoding="utf-8"))
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    found += [one["definition"] for one in board["templating"]["list"] if one["type"] == "query"]
    rules = yaml.safe_load((DASHBOARD / "alerts.yml").read_text(encoding="utf-8"))
    return found + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("query", queries())
def test_every_query_names_figures_and_labels_that_there_are(query):
    known = labelled()
    named = set(re.findall(r"\bfoldcam_\w+", query))
    assert named
    assert named <= set(known)
    labels = set.union(*(known[name] for name in named))
    asked = {word for part in re.findall(r"(?:by|on) \(([^)]*)\)", query) for word in re.split(r", *", part)}
    asked |= set(re.findall(r"[{,]\s*(\w+)[=!]", query))
    assert asked <= labels
    rest = re.sub(r'"[^"]*"|\[\w+\]|foldcam_\w+', " ", query)
    assert set(re.findall(r"\b[a-z_]{2,}\b", rest)) <= WORDS | labels
    assert query.count("(") == query.count(")")


def test_the_dashboards_panels_stand_side_by_side():
    board = json.loads((DASHBOARD / "foldcam.json").read_text(encoding="utf-8"))
    taken = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_prometheus_reads_the_rules_that_lie_beside_its_settings():
    settings = yaml.safe_load((DASHBOARD / "prometheus.yml").read_text(encoding="utf-8"))
    assert all((DASHBOARD / name).is_file() for name in settings["rule_files"])
    assert [job["job_name"] for job in settings["scrape_configs"]] == ["foldcam", "node"]
    rules = yaml.safe_load((DASHBOARD / "alerts.yml").read_text(encoding="utf-8"))
    for rule in rules["groups"][0]["rules"]:
        assert {"alert", "expr", "for", "labels", "annotations"} == set(rule)
        assert {"summary", "description"} == set(rule["annotations"])
