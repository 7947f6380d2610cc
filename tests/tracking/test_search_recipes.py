"""The README's search recipes, each run through MLflow's search against recorded runs."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from tasks.tracking.ledger import Known, Ledger
from tasks.tracking.records import Dataset, Metrics, Params

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split("### Compare in MLflow")[1]
README = README.split("\n### ")[0]
RECIPES = dict(re.findall(r"^\| (.+?) \| ``(.+)`` \|$", README, re.MULTILINE))
SNIPPETS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)

FOUND = {
    "one row a backbone": ["ncnn", "ncnn", "vgg16", "vgg16"],
    "the best backbone over time (columns `best_backbone`, `best/…`)": ["one"],
    "backbones whose interval over folds lies above a bar": ["ncnn"],
    "fold runs that failed (column `foldcam.error`)": ["vgg16/1"],
    "experiments that are not whole": ["two"],
    "all experiments on the very same images": ["two"],
    "all that was run for one experiment": ["ncnn", "ncnn/0", "vgg16", "vgg16/0"],
    "every fold of one backbone": ["ncnn/0", "ncnn/1"],
    "fold runs that were scored on the same images (digest of their data set for testing)": ["ncnn/1", "vgg16/1"],
    "experiments with a certain setting": ["one"],
}
"""The names of the runs that each recipe finds."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, empty_store):
    """Two experiments of one name with two backbones, each on one fold of its own; the second one is not whole."""
    folder = tmp_path_factory.mktemp("recipes")
    store = folder / "mlflow.db"
    store.write_bytes(empty_store.read_bytes())
    uri = f"sqlite:///{store}"
    mlflow.MlflowClient(uri).create_experiment("faces", (folder / "artifacts").as_uri())
    for number, (name, digest, epochs, low) in enumerate([("one", "other", 12, 0.85), ("two", "DIGEST", 30, 0.5)]):
        record(Ledger(uri, "faces"), number, name, digest, epochs, low)
    return uri


def record(ledger, number, name, digest, epochs, low):
    table = pd.DataFrame({"path": ["a.png"], "label": ["a"]})
    run_id = ledger.open_experiment(Known(None, {}), name, {"foldcam.data_digest": digest})
    ledger.writer(run_id).write([Params({"training.epochs": epochs})])
    for backbone in ("ncnn", "vgg16"):
        backbone_run, _ = ledger.open_backbone(backbone, f"{name}/{backbone}", digest)
        bar = low if backbone == "ncnn" else 0.8
        scores = {"cv/balanced_accuracy_ci_low": bar, "oof/balanced_accuracy": bar + number / 10}
        ledger.writer(backbone_run).write([Metrics(scores)])
        fold_run = ledger.open_fold(backbone, number, f"{name}/{backbone}/{number}", digest)
        parts = (("testing", "PART" if number else "first"), ("training", "rest"))
        content = [Dataset(table, "faces", part, "/data", context=context) for context, part in parts]
        ledger.writer(fold_run).write(content)
        ledger.end(fold_run, "failed" if (backbone, number) == ("vgg16", 1) else "completed", "its loss became NaN")
        ledger.end(backbone_run, "completed")
    ledger.end(run_id, "partial" if number else "completed")


@pytest.fixture
def search(recorded):
    mlflow.set_tracking_uri(recorded)

    def names(wanted):
        found = mlflow.search_runs(experiment_names=["faces"], filter_string=wanted, output_format="list")
        return sorted(run.info.run_name for run in found)

    return names


def test_every_recipe_of_the_readme_is_tried_here():
    assert set(RECIPES) == set(FOUND)


@pytest.mark.parametrize("title", FOUND)
def test_a_recipe_finds_just_the_runs_that_it_promises(title, search, recorded):
    wanted = RECIPES[title]
    if "'RUN'" in wanted:
        [first] = mlflow.search_runs(
            experiment_names=["faces"], filter_string="attributes.run_name = 'one'", output_format="list"
        )
        wanted = wanted.replace("RUN", first.info.run_id)
    assert search(wanted) == FOUND[title]


def test_the_readmes_snippet_gives_the_best_backbone_first(search):
    [snippet] = SNIPPETS
    found: dict[str, pd.DataFrame] = {}
    exec(snippet, found)
    best = found["best"]
    assert best["metrics.oof/balanced_accuracy"].is_monotonic_decreasing
    assert best["tags.foldcam.backbone"].tolist() == ["vgg16", "ncnn", "vgg16", "ncnn"]
