"""Stores that earlier releases have written open in this one."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from sqlalchemy import create_engine

from flows.cross_validate import cross_validate
from tasks.config import InputError
from tasks.tracking.store import open_client
from tasks.workers.events import StepEvent, subscribe
from tests.support.command import foldcam
from tests.support.releases import LARGEST, NAME, RELEASES, facts_of, open_release, releases
from tests.support.studio import one_json

OLDER = "75868b020152"
"""The revision of MLflow's tables before the one of MLflow 3.17.2."""


@pytest.fixture(scope="module", params=releases())
def kept(request, tmp_path_factory):
    """A release's store, and what the release said of it."""
    return open_release(request.param, tmp_path_factory.mktemp("release")), facts_of(request.param)


def test_there_is_a_store_of_this_release_or_an_earlier_one():
    assert releases()
    assert all((RELEASES / release / "store.tar.xz").stat().st_size < LARGEST for release in releases())


def test_compare_shows_the_figures_that_the_release_showed(kept):
    studio, facts = kept
    with studio.inside():
        answer = foldcam("compare", NAME, "--json")
    assert answer.code == 0, answer.err
    found = one_json(answer.out)
    means = {name: own["mean"] for name, own in found["backbones"]["ncnn"]["metrics"].items()}
    common = facts["mean"].keys() & means.keys()
    assert {"balanced_accuracy", "log_loss"} <= common
    assert {name: means[name] for name in common} == pytest.approx({name: facts["mean"][name] for name in common})


def test_export_writes_the_predictions_of_every_image(kept, tmp_path):
    studio, _ = kept
    with studio.inside():
        answer = foldcam("export", NAME, "--out", tmp_path / "out", "--json")
    assert answer.code == 0, answer.err
    tables = [pd.read_csv(file) for file in (tmp_path / "out").rglob("*.csv")]
    assert any(len(table) == 16 for table in tables)
    assert list((tmp_path / "out").rglob("*.png"))


def test_the_champion_predicts(kept, tmp_path):
    studio, _ = kept
    with studio.inside():
        model = f"models:/{NAME}@champion"
        answer = foldcam("predict", "images", "--model", model, "--out", tmp_path / "p.csv", "--json")
    assert answer.code == 0, answer.err
    table = pd.read_csv(tmp_path / "p.csv")
    assert len(table) == 16
    probabilities = table.filter(regex="(across|down)$").to_numpy()
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_a_second_run_reuses_the_fold_runs_or_says_that_it_does_not(kept):
    """Fold runs of the same versions are reused; of others it is said whose they are, and they are done again."""
    studio, facts = kept
    told = []
    with studio.inside(), subscribe(told.append):
        from tasks.experiment_file import read_experiment
        from tasks.planning import load_plan
        from tasks.survey import Request, survey, tell_other_versions
        from tasks.tracking.ledger import Ledger

        plan = load_plan(read_experiment(studio.folder / "experiment.yaml", []))
        ledger = Ledger(studio.tracking_uri, NAME)
        found = survey(plan, Request(), ledger)
        if not found.missing:
            result = cross_validate(studio.folder / "experiment.yaml")
            assert {fold.status for fold in result.backbones["ncnn"].folds} == {"reused"}
            assert [fold.run_id for fold in result.backbones["ncnn"].folds] == [
                fold["run_id"] for fold in facts["folds"]
            ]
            return
        with closing(sqlite3.connect(studio.folder / "mlflow.db")) as database:
            database.execute("UPDATE tags SET value = '0.0.1' WHERE key = 'foldcam.version'")
            database.commit()
        tell_other_versions(found, ledger)
    said = [event.step for event in told if isinstance(event, StepEvent) and "of foldcam" in event.step]
    assert len(said) == 1
    assert "2 fold runs of foldcam 0.0.1" in said[0]
    assert "not reused" in said[0]


def test_a_database_of_an_older_mlflow_is_told_with_its_mend_and_opens_after_it(empty_store, tmp_path):
    file = tmp_path / "mlflow.db"
    file.write_bytes(empty_store.read_bytes())
    uri = f"sqlite:///{file}"
    config = _get_alembic_config(uri)
    with create_engine(uri).begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, OLDER)
    with pytest.raises(InputError) as caught:
        open_client(uri)
    said = str(caught.value)
    assert f"mlflow db upgrade {uri}" in said
    assert "older MLflow" in said
    assert "\n" not in said
    upgrade = [sys.executable, "-P", "-m", "mlflow", "db", "upgrade", uri]
    subprocess.run(upgrade, check=True, capture_output=True, timeout=300)
    assert open_client(uri).search_experiments()


def test_a_database_of_a_newer_mlflow_is_told_as_such(empty_store, tmp_path):
    file = tmp_path / "mlflow.db"
    file.write_bytes(empty_store.read_bytes())
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        database.commit()
    with pytest.raises(InputError, match="newer MLflow"):
        open_client(f"sqlite:///{file}")


def test_the_facts_hold_no_path_of_the_machine_that_wrote_them():
    for release in releases():
        assert "/tmp" not in json.dumps(facts_of(release))
