from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import threading

import pytest

from tasks.config import InputError
from tasks.workers.log_context import context, prefix, tell_process, told
from tasks.workers.log_lines import JsonLines, JsonStream, ToldFormatter, as_json_line, message_of, relay, wanted
from tasks.workers.order import Order
from tasks.workers.pool import JobFailed, WorkerPool
from tasks.workers.secrets import redacted
from tests.support.processes import until


def record(message="it failed", level=logging.WARNING, fault=None):
    info = (type(fault), fault, fault.__traceback__) if fault is not None else None
    return logging.LogRecord("tasks.some", level, __file__, 1, message, (), info)


def test_a_record_is_one_json_object_with_what_it_is_about():
    with told(experiment="faces", backbone="vgg16", fold=0, run_id="ab12"):
        fields = json.loads(JsonLines().format(record()))
    assert list(fields) == ["time", "level", "logger", "message", "experiment", "backbone", "fold", "run_id"]
    assert (fields["level"], fields["logger"], fields["message"]) == ("WARNING", "tasks.some", "it failed")
    assert (fields["experiment"], fields["backbone"], fields["fold"], fields["run_id"]) == ("faces", "vgg16", 0, "ab12")
    assert fields["time"].endswith("+00:00")


def test_an_exception_stands_in_its_record_on_the_same_line():
    try:
        raise KeyError("a\nb")
    except KeyError as fault:
        line = JsonLines().format(record(fault=fault))
    assert "\n" not in line
    assert json.loads(line)["error"] == "KeyError"
    assert "Traceback" in json.loads(line)["traceback"]


def test_what_is_not_known_is_left_out_and_the_inner_context_adds_to_the_outer():
    assert context() == {}
    assert prefix() == ""
    with told(experiment="faces", run_id=""):
        with told(backbone="ncnn", fold=3):
            assert context() == {"experiment": "faces", "backbone": "ncnn", "fold": 3}
            assert prefix() == "faces ncnn/3: "
        assert context() == {"experiment": "faces"}
    with pytest.raises(ValueError, match="patient"), told(patient="x"):
        pass


def test_threads_do_not_see_each_others_context_and_all_see_the_process():
    seen = {}

    def look(name):
        with told(backbone=name):
            barrier.wait()
            seen[name] = context()

    barrier = threading.Barrier(2)
    tell_process(experiment="faces")
    try:
        threads = [threading.Thread(target=look, args=(name,)) for name in ("ncnn", "vgg16")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        tell_process()
    assert seen == {name: {"experiment": "faces", "backbone": name} for name in ("ncnn", "vgg16")}


def test_what_is_printed_becomes_objects_a_line_and_objects_pass():
    below = io.StringIO()
    stream = JsonStream(below)
    whole = as_json_line("from a worker", "ERROR", "tasks.x")
    stream.write("first li")
    assert below.getvalue() == ""
    stream.write(f"ne\n\n{whole}\nrest")
    assert stream.end() is below
    lines = below.getvalue().splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["first line", "from a worker", "rest"]
    assert lines[1] == whole
    assert message_of(whole) == "from a worker"
    assert message_of("no object") == "no object"


def test_a_line_that_only_looks_like_an_object_is_wrapped():
    for line in ('{"time": ', '{"time": 1}', '{"event": {}}'):
        assert json.loads(as_json_line(line))["message"] == line.strip()


def test_an_unknown_kind_of_log_is_refused(monkeypatch):
    monkeypatch.setenv("FOLDCAM_LOG", "xml")
    with pytest.raises(InputError, match="FOLDCAM_LOG='xml'"):
        wanted()
    for value, expected in (("", False), ("text", False), ("JSON", True)):
        monkeypatch.setenv("FOLDCAM_LOG", value)
        assert wanted() is expected


def test_secrets_are_in_no_line(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2hunter2")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "anna:s3cret-pass")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=a;AccountKey=Eby8vdM02xNO")
    said = "hunter2hunter2, s3cret-pass, wJalrXUtnFEMI, http://bob:hidden@host/x Bearer abc.def-ghi"
    said += ", AccountName=a;AccountKey=Eby8vdM02xNO, http://bob:at@sign@host/x"
    line = JsonLines().format(record(said))
    for secret in ("hunter2", "s3cret", "wJalr", "bob:hidden", "abc.def", "Eby8", "sign"):
        assert secret not in line
    assert redacted("a plain text about MLFLOW_TRACKING_PASSWORD") == "a plain text about MLFLOW_TRACKING_PASSWORD"
    with told(experiment="e"):
        assert ToldFormatter("%(message)s").format(record("hunter2hunter2")) == "e: ***"


def test_libraries_that_write_for_people_write_objects_after_the_set_up():
    code = """
import logging, sys, warnings
handler = logging.StreamHandler()
logging.getLogger("noisy").addHandler(handler)
logging.getLogger("noisy").propagate = False
from tasks.workers.log_lines import set_up_logs
assert set_up_logs() and set_up_logs()
logging.getLogger("noisy").warning("from a library")
logging.getLogger("tasks.x").info("from foldcam")
logging.getLogger("other").info("unheard")
warnings.warn("careful")
print("printed", file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"FOLDCAM_LOG": "json"}
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["message"] for line in lines][:2] == ["from a library", "from foldcam"]
    assert lines[-1]["message"] == "printed"
    assert "careful" in lines[2]["message"]
    assert len(lines) == 4


def test_a_workers_lines_are_written_by_its_parent_if_logs_are_json(monkeypatch):
    """A real worker with an order that cannot be done: its experiment has no data."""
    shown = io.StringIO()
    monkeypatch.setenv("FOLDCAM_LOG", "json")
    monkeypatch.setattr(sys, "stderr", JsonStream(shown))
    order = Order("fold", {"name": "faces"}, "x", "gone", "gone", "ncnn", 2, run_id="ab12")
    with WorkerPool([{}], threads=1, deterministic=True) as pool:
        with pytest.raises(JobFailed, match="ValidationError"):
            pool.do(order, lambda _: None)
        until(lambda: "traceback" in shown.getvalue(), 10, "the worker's line")
    lines = [json.loads(line) for line in shown.getvalue().splitlines()]
    failed = next(line for line in lines if "traceback" in line)
    about = {"experiment": "faces", "backbone": "ncnn", "fold": 2, "run_id": "ab12"}
    assert about.items() <= failed.items()
    assert (failed["level"], failed["logger"]) == ("ERROR", "tasks.workers.child")


def test_a_workers_lines_stay_unwritten_if_logs_are_for_people(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    relay("from a worker\n")
    assert shown.getvalue() == ""
