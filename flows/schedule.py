"""Runs an experiment again and again: a served flow with a schedule."""

# Annotations are objects here, not texts: Prefect pickles the flow by value into the process of each of its runs.

from collections.abc import Callable
from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from pydantic import Field

from flows.cross_validate import cross_validate
from flows.form import formed
from flows.outcomes import left_out, refused, state_of
from flows.serving import Within, serve_on, too_late
from flows.timing import Timing
from tasks.config import Experiment, InputError


@flow(name="scheduled-cross-validate", flow_run_name="{name}", persist_result=False)
@formed
def scheduled(
    name: str,  # noqa: ARG001 — the run's name
    experiment: Experiment,
    fresh: Annotated[bool, Field(description="Do again what the record has already.")] = False,
    start_within_minutes: Within = None,
) -> State[Any]:
    """Run the experiment; what the record has already is reused, unless `fresh`."""
    late = too_late(start_within_minutes)
    if late:
        return left_out(late)
    try:
        return state_of(cross_validate(experiment, fresh=fresh))
    except InputError as fault:
        return refused(str(fault))


def serve(experiment: Experiment, timing: Timing, *, fresh: bool, say: Callable[[str], None]) -> None:
    """Serve the experiment on a schedule until interrupted, one run at a time.

    Without a Prefect server of the team's (PREFECT_API_URL), a local one runs as long as this does.

    Raises
    ------
    InputError
        There is nothing to train, or the server did not come up.
    """
    if experiment.data.labels.kind == "none":
        raise InputError(
            f"The experiment {experiment.name} is about photographs without labels (data.labels.kind: none), which are "
            "not trained on anew on a schedule. `foldcam run` explains them."
        )
    parameters = {"name": experiment.name, "experiment": experiment.model_dump(mode="json"), "fresh": fresh}
    serve_on(scheduled, experiment.name, timing, parameters, say)
