from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from flows.found import answers
from flows.notes import notes_in
from tasks.backbones.registry import names
from tasks.config import Experiment
from tests.support.command import foldcam
from tests.support.images import write_classes
from tests.support.studio import make_studio, one_json, quick

HEAVY = {"tensorflow", "keras", "mlflow", "prefect", "pandas", "sklearn", "scipy", "matplotlib", "rich"}
LIGHT = [["--help"], ["run", "--help"]]
SHORT = [["backbones"], ["schema"], ["cache", "ls"]]
LOADED = f"""
import json, sys
from flows import cli
for arguments in {[*LIGHT, *SHORT]!r}:
    sys.argv = ["foldcam", *arguments]
    try:
        cli.main()
    except SystemExit as end:
        assert not end.code
    print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory, empty_store, prefect_api):
    """`foldcam run --json`: one fold, and then, as a process that finds the Prefect server that runs, all."""
    folder = tmp_path_factory.mktemp("ran")
    studio = make_studio(folder, empty_store, prefect_api)
    write_classes(folder / "images", {"down": 8, "across": 8})
    file = studio.write(quick("images", name="commanded", training={"epochs": 50, "batch_size": 8}))
    part = ["--set", "training.epochs=1", "--json"]
    with studio.inside():
        one = foldcam("run", file, "--fold", "1", "--backbone", "ncnn", *part)
    before = prefect_servers()
    rest = replace(studio, prefect_api="").foldcam("run", str(file), *part)
    servers = [before, prefect_servers()]
    return SimpleNamespace(studio=studio, file=file, one=one, rest=rest, servers=servers)


def prefect_servers():
    return set(notes_in(Path(os.environ["PREFECT_HOME"])))


@pytest.fixture
def place(tmp_path, empty_store):
    """A studio for commands that train nothing."""
    studio = make_studio(tmp_path / "place", empty_store)
    with studio.inside():
        yield studio


@pytest.fixture(scope="module")
def loaded():
    """The modules that are loaded after each of some commands, one after the other in one process."""
    done = subprocess.run([sys.executable, "-P", "-c", LOADED], capture_output=True, text=True, check=True, timeout=240)
    return [set(json.loads(line)) for line in done.stderr.splitlines()]


def test_help_loads_nothing_heavy(loaded):
    assert [modules & HEAVY for modules in loaded[: len(LIGHT)]] == [set()] * len(LIGHT)


def test_short_commands_load_no_framework(loaded):
    frameworks = {"tensorflow", "keras", "mlflow", "prefect"}
    assert [modules & frameworks for modules in loaded[len(LIGHT) :]] == [set()] * len(SHORT)


def test_help_names_every_command():
    answer = foldcam("--help")
    assert answer.code == 0
    known = ["run", "demo", "check", "compare", "explain", "export", "schedule", "ui", "backbones", "cache", "init"]
    known += ["schema", "predict", "champion", "deploy", "notices", "users", "login", "logout", "doctor", "sync"]
    known += ["clean"]
    assert all(f"\n  {command} " in answer.out or f" {command} " in answer.out for command in known)
    assert "..." not in answer.out.partition("Commands:")[2]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["rnu"], "rnu"),
        (["run"], "FILE"),
        (["run", "gone.yaml"], "gone.yaml"),
        (["run", "gone.yaml", "--fodl", "1"], "--fodl"),
        (["run", "gone.yaml", "--fold", "one"], "--fold"),
        (["schedule", "gone.yaml"], "--cron"),
        (["compare", "nothing"], "foldcam run"),
        (["init", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_understood_is_answered_with_one_paragraph_and_2(place, arguments, told):
    answer = foldcam(*arguments)
    assert told in answer.refused()
    assert len(answer.err.strip().splitlines()) == 1
    assert answer.out == ""


def test_a_wrong_key_is_answered_with_the_nearest_one(place):
    file = place.write(quick("images") | {"trainning": {"epochs": 1}})
    message = foldcam("check", file).refused()
    assert "trainning" in message
    assert "Did you mean training?" in message
    assert "experiment.yaml" in message


def test_a_fault_of_foldcams_own_is_1_and_keeps_its_traceback_in_a_file(place, monkeypatch):
    def broken():
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("flows.listings.backbone_rows", broken)
    answer = foldcam("backbones", "--json")
    assert answer.code == 1
    assert answer.out == ""
    assert "ZeroDivisionError: by zero" in answer.err
    assert "Traceback" not in answer.err
    kept = Path(answer.err.split("The traceback is in ")[1].split(".txt")[0] + ".txt")
    assert "Traceback" in kept.read_text(encoding="utf-8")
    kept.unlink()


def test_output_may_be_cut_off_by_a_pipe(place):
    code = "import sys; from flows import cli; sys.argv = ['foldcam', 'schema']; cli.main()"
    command = f'{sys.executable} -P -c "{code}" | head -n 1; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=240)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_run_prints_one_json_object_and_nothing_else_on_standard_output(ran):
    assert ran.rest.returncode == 0, ran.rest.stderr
    found = one_json(ran.rest.stdout)
    promised = ["experiment", "experiment_run_id", "status", "data_digest", "backbones", "ranking", "comparison"]
    promised += ["champion", "report", "seconds"]
    assert list(found) == promised
    assert found["experiment"] == "commanded"
    assert found["status"] == "completed"
    assert ran.studio.client.get_run(found["experiment_run_id"]).info.run_name == "commanded"
    assert len(found["data_digest"]) == 64
    assert Path(found["report"]).is_file()


def test_run_does_the_folds_that_are_asked_for_and_then_the_others(ran):
    assert ran.one.code == 0, ran.one.err
    first, second = (one_json(out)["backbones"]["ncnn"] for out in (ran.one.out, ran.rest.stdout))
    assert [(fold["fold"], fold["status"]) for fold in first["folds"]] == [(1, "completed")]
    assert [(fold["fold"], fold["status"]) for fold in second["folds"]] == [(0, "completed"), (1, "reused")]
    assert first["metrics"]["accuracy"]["folds"][0] is None
    assert first["metrics"]["accuracy"]["folds"][1] == second["metrics"]["accuracy"]["folds"][1]
    assert sorted(second["folds"][0]) == ["error", "fold", "run_id", "seconds", "status"]
    assert sorted(second["metrics"]["accuracy"]) == ["ci_high", "ci_low", "folds", "mean", "std"]


def test_people_are_told_on_standard_error_meanwhile(ran):
    assert "ncnn/0 done" in ran.rest.stderr
    assert "ncnn/1 reused" in ran.rest.stderr
    assert "Ranking by balanced accuracy" in ran.rest.stderr
    assert "`foldcam ui` in this folder" in ran.rest.stderr
    for noise in ("Traceback", "Warning", "View run", "\x1b["):
        assert noise not in ran.rest.stderr


def test_run_uses_the_prefect_server_that_runs_already(ran, prefect_api):
    assert f"using the Prefect server that runs at {prefect_api.removesuffix('/api')}" in ran.rest.stderr
    before, after = ran.servers
    assert after == before
    assert answers(f"{prefect_api}/health")


def test_set_overrides_a_key_of_the_file(ran):
    [run] = ran.studio.runs("experiment")
    assert run.data.params["training.epochs"] == "1"


def test_compare_shows_what_mlflow_has(ran):
    with ran.studio.inside():
        found = one_json(foldcam("compare", "commanded", "--json").out)
        newest = one_json(foldcam("compare", "--json").out)
        shown = foldcam("compare")
        wrong = foldcam("compare", "comanded")
    assert newest == found
    was = one_json(ran.rest.stdout)
    assert found["experiment_run_id"] == was["experiment_run_id"]
    assert found["ranking"] == was["ranking"]
    assert found["status"] == "completed"
    own = found["backbones"]["ncnn"]
    for part in ("mean", "std", "ci_low", "ci_high"):
        assert own["metrics"]["accuracy"][part] == was["backbones"]["ncnn"]["metrics"]["accuracy"][part]
    assert shown.code == 0
    assert "ncnn" in shown.out
    assert "Did you mean commanded?" in wrong.refused()


def test_what_the_experiment_does_not_have_cannot_be_asked_for(ran):
    with ran.studio.inside():
        assert "no fold 7" in foldcam("run", ran.file, "--fold", "7").refused()
        assert "Did you mean ncnn?" in foldcam("run", ran.file, "--backbone", "nncn").refused()


def test_the_cache_is_listed_and_cleared(ran):
    with ran.studio.inside():
        held = one_json(foldcam("cache", "ls", "--json").out)
        shown = foldcam("cache", "ls")
        freed = one_json(foldcam("cache", "clear", "--json").out)
        after = one_json(foldcam("cache", "ls", "--json").out)
    assert held["folder"] == str(ran.studio.folder / "cache")
    assert {entry["what"] for entry in held["entries"]} == {"decoded images", "tables of plans", "known images"}
    assert held["bytes"] > 0
    assert shown.code == 0
    assert freed["freed_bytes"] >= held["bytes"]
    assert (after["entries"], after["bytes"]) == ([], 0)


def test_backbones_lists_the_registry(place):
    rows = json.loads(foldcam("backbones", "--json").out)
    assert [row["name"] for row in rows] == names()
    ncnn = next(row for row in rows if row["name"] == "ncnn")
    assert (ncnn["native_size"], ncnn["min_size"], ncnn["cam_layer"]) == (120, 34, "conv_2x2_")
    shown = foldcam("backbones")
    assert shown.code == 0
    assert all(name in shown.out for name in names())


def test_schema_is_the_experiment_files(place):
    assert one_json(foldcam("schema").out) == Experiment.model_json_schema()


def test_init_writes_a_file_that_check_accepts(place):
    write_classes(place.folder / "leaves", {"healthy green": 7, "überreif": 6})
    written = foldcam("init", "leaves", "--out", "leaves.yaml")
    assert written.code == 0, written.err
    assert "13 images" in written.out
    answer = foldcam("check", "leaves.yaml", "--json")
    assert answer.code == 0, answer.err
    found = one_json(answer.out)
    assert found["n_images"] == 13
    assert found["experiment"] == "leaves"
    assert found["classes"] == {"healthy green": 7, "überreif": 6}


def test_init_leaves_a_file_that_is_there_as_it_is(place):
    write_classes(place.folder / "leaves", {"a": 3, "b": 3})
    (place.folder / "mine.yaml").write_text("name: mine", encoding="utf-8")
    assert "mine.yaml" in foldcam("init", "leaves", "--out", "mine.yaml").refused()
    assert (place.folder / "mine.yaml").read_text(encoding="utf-8") == "name: mine"


def test_check_counts_images_by_class_and_fold_and_trains_nothing(place):
    write_classes(place.folder / "images", {"down": 8, "across": 6})
    file = place.write(quick("images"))
    shown = foldcam("check", file)
    assert shown.code == 0, shown.err
    assert "14 images, 1 backbone × 2 folds = 2 fold runs" in shown.out
    found = one_json(foldcam("check", file, "--json").out)
    assert found["folds"] == {"0": {"across": 3, "down": 4}, "1": {"across": 3, "down": 4}}
    assert place.runs() == []
