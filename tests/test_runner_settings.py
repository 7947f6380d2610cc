from __future__ import annotations

import pytest
from pydantic import ValidationError

from tasks.config import Experiment, Runner
from tasks.experiment_file import read_experiment


def test_a_word_alone_is_the_kind(tmp_path):
    (tmp_path / "images").mkdir()
    file = tmp_path / "experiment.yaml"
    file.write_text("name: a\ndata: {path: images}\nrunner: ray\n")
    assert read_experiment(file).runner == Runner(kind="ray")
    assert read_experiment(file, ["runner.kind=dask", "runner.workers=3"]).runner == Runner(kind="dask", workers=3)
    assert Experiment(name="a", data={"path": "."}).runner.on_cluster is False


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("slurm", "'process', 'ray' or 'dask'"),
        ({"kind": "process", "address": "10.0.0.5:6379"}, "address: only with kind `ray` or `dask`"),
        ({"gpus_per_fold": 1}, "gpus_per_fold: only with kind `ray` or `dask`"),
        ({"kind": "ray", "gpus_per_fold": 1.5}, "a share of one GPU .* or a whole number"),
        ({"kind": "ray", "gpus_per_fold": -1}, "greater than or equal to 0"),
        ({"kind": "ray", "cpus_per_fold": 0}, "greater than 0"),
        ({"kind": "dask", "gpus_per_fold": 0.5}, "Dask cannot share a GPU"),
        ({"kind": "ray", "adress": "auto"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_reason(settings, told):
    with pytest.raises(ValidationError, match=told):
        Runner.model_validate(settings)
