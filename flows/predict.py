"""Predicts images again and again: a flow with a schedule, for folders that fill up."""

# Annotations are objects here, not texts: Prefect pickles the flow by value into the process of each of its runs.

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.form import formed
from flows.outcomes import left_out, partial, refused
from flows.predict_images import BATCH, predict_images
from flows.serving import Within, serve_on, too_late
from flows.timing import Timing
from tasks.config import InputError
from tasks.dataset.parallel import usable_cores
from tasks.explanation.asked import model_kind
from tasks.workers.prediction_parts import check_out_file


@flow(name="predict", flow_run_name="{path}", persist_result=False)
@formed
def predict(
    path: Annotated[str, Field(description="An image, a folder, an array, a table of paths, or an address.")],
    model: Annotated[str, Field(description="Such as models:/NAME@champion: what it points to when the run starts.")],
    out: Annotated[str, Field(description="The table to write, .parquet or .csv, by its full path.")],
    log: Annotated[bool, Field(description="Log it to MLflow, with the images' drift.")] = True,
    explain: Annotated[bool, Field(description="Write overlays of where the model looks.")] = False,
    batch_size: Annotated[int, Field(ge=1, description="Images that go through the model at once.")] = BATCH,
    column: Annotated[str | None, Field(description="The column of paths, where path is a table.")] = None,
    start_within_minutes: Within = None,
) -> State[Any]:
    """Predict all images that are at a place now, and replace the table of the run before."""
    late = too_late(start_within_minutes)
    if late:
        return left_out(late)
    try:
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
    except InputError as fault:
        return refused(str(fault))
    drifted = found.drift is not None and found.drift["drifted"]
    message = (
        f"{found.n_images} images, {found.n_failed} without a prediction{'; they have drifted' if drifted else ''}"
    )
    if not found.n_failed:
        return Completed(message=message)
    return partial(message) if found.n_failed < found.n_images else Failed(message=message)


def serve_predictions(
    path: str,
    model: str,
    out: Path,
    timing: Timing,
    *,
    say: Callable[[str], None],
    explain: bool = False,
    batch_size: int = BATCH,
    column: str | None = None,
) -> None:
    """Serve the flow on a schedule until interrupted, one run at a time; every run is logged to MLflow.

    Raises
    ------
    InputError
        A name cannot be read, or the server did not come up.
    """
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
    serve_on(predict, f"predict {Path(path).name}", timing, parameters, say)
