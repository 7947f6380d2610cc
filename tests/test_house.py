from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parents[1]


def test_the_folder_mlflow_does_not_shadow_the_package():
    import mlflow

    assert hasattr(mlflow, "start_run")
    assert HERE not in Path(mlflow.__file__).parents or ".venv" in Path(mlflow.__file__).parts


def test_the_folder_mlflow_holds_no_python():
    assert (HERE / "mlflow").is_dir()
    assert list((HERE / "mlflow").rglob("*.py")) == []
