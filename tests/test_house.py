from __future__ import annotations

import runpy
import shutil
import tomllib
from pathlib import Path

from flows.shipped import shipped

HERE = Path(__file__).parents[1]


def test_the_folder_mlflow_does_not_shadow_the_package():
    import mlflow

    assert hasattr(mlflow, "start_run")
    assert HERE not in Path(mlflow.__file__).parents or ".venv" in Path(mlflow.__file__).parts


def test_the_folder_mlflow_holds_no_python():
    assert (HERE / "mlflow").is_dir()
    assert list((HERE / "mlflow").rglob("*.py")) == []


def test_an_installed_package_brings_along_what_deploy_and_notices_read(tmp_path):
    wheel = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    installed = tmp_path / "site-packages"
    (installed / "flows").mkdir(parents=True)
    program = shutil.copy(shipped.__code__.co_filename, installed / "flows")
    for source, place in wheel["force-include"].items():
        (installed / place).parent.mkdir(exist_ok=True)
        (shutil.copytree if (HERE / source).is_dir() else shutil.copy)(HERE / source, installed / place)
    found = runpy.run_path(program)["shipped"]
    for name in ("prefect.yaml", "notices/failed.yaml"):
        assert shipped(name).is_relative_to(HERE / "infra")
        assert found(name).is_relative_to(installed)
        assert found(name).read_text() == shipped(name).read_text()
