"""Predicts images again and again: a flow with a cron, for folders that fill up."""

# Annotations are objects here, not texts: Prefect pickles the flow by value into the process of each of its runs.

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from flows.predict_images import BATCH, predict_images
from flows.schedule import check_cron, serve_on
from tasks.dataset.parallel import usable_cores
from tasks.explanation.asked import model_kind
from tasks.workers.prediction_parts import check_out_file


@flow(name="predict", flow_run_name="{path}", persist_result=False)
def predict(
    path: str,
    model: str,
    out: str,
    log: bool = True,
    explain: bool = False,
    batch_size: int = BATCH,
    column: str | None = None,
) -> State[Any]:
    """Predict all images that are at a place now, and replace the table of the run before.

    Parameters
    ----------
    path : str
        An image, a folder, an array, a table of paths, or an address.
    model : str
        Such as `models:/NAME@champion`: what the alias points to when the run starts.
    out : str
        The table, `.parquet` or `.csv`.
    log : bool
        Log it to MLflow, with the images' drift.
    explain : bool
        Write overlays.
    batch_size : int
        Images that go through the model at once.
    column : str or None
        The column of paths, where `path` is a table.
    """
    found = predict_images(
        path,
        model,
        out=out,
        explain=explain,
        batch_size=batch_size,
        column=column,
        log=log,
        replace=True,
        threads=usable_cores(),
    )
    drifted = found.drift is not None and found.drift["drifted"]
    message = (
        f"{found.n_images} images, {found.n_failed} without a prediction{'; they have drifted' if drifted else ''}"
    )
    return Failed(message=message) if found.n_failed else Completed(message=message)


def serve_predictions(
    path: str,
    model: str,
    out: Path,
    cron: str,
    *,
    say: Callable[[str], None],
    explain: bool = False,
    batch_size: int = BATCH,
    column: str | None = None,
) -> None:
    """Serve the flow on a cron until interrupted, one run at a time; every run is logged to MLflow.

    Raises
    ------
    InputError
        The cron or a name cannot be read, or the server did not come up.
    """
    check_cron(cron)
    model_kind(model, None)
    check_out_file(out, fresh=True)
    parameters = {
        "path": path if "://" in path else str(Path(path).expanduser().absolute()),
        "model": model,
        "out": str(out.expanduser().absolute()),
        "explain": explain,
        "batch_size": batch_size,
        "column": column,
    }
    serve_on(predict, f"predict {Path(path).name}", cron, parameters, say)
