"""Runs an experiment again and again: a served flow with a cron."""

# Annotations are objects here, not texts: Prefect pickles the flow by value into the process of each of its runs.

import os
from collections.abc import Callable
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed

from flows.cross_validate import cross_validate
from flows.runners import free_port, local_server
from tasks.config import Experiment, InputError


@flow(name="scheduled-cross-validate", flow_run_name="{name}", persist_result=False)
def scheduled(name: str, experiment: Experiment, fresh: bool = False) -> State[Any]:  # noqa: ARG001 — the run's name
    """Run the experiment; what the record has already is reused, unless `fresh`."""
    result = cross_validate(experiment, fresh=fresh)
    if result.status == "completed":
        return Completed(message=f"{result.experiment}: best is {', '.join(result.ranking[:1])}")
    return Failed(message=f"{result.experiment} is {result.status}: {len(result.failures)} fold runs failed")


def serve(experiment: Experiment, cron: str, *, fresh: bool, say: Callable[[str], None]) -> None:
    """Serve the experiment on a cron until interrupted, one run at a time.

    Without a Prefect server of the team's (PREFECT_API_URL), a local one runs as long as this does.

    Raises
    ------
    InputError
        The cron cannot be read, there is nothing to train, or the server did not come up.
    """
    check_cron(cron)
    if experiment.data.labels.kind == "none":
        raise InputError(
            f"The experiment {experiment.name} is about photographs without labels (data.labels.kind: none), which are "
            "not trained on anew on a schedule. `foldcam run` explains them."
        )
    parameters = {"name": experiment.name, "experiment": experiment.model_dump(mode="json"), "fresh": fresh}
    serve_on(scheduled, experiment.name, cron, parameters, say)


def serve_on(own: Any, name: str, cron: str, parameters: dict[str, Any], say: Callable[[str], None]) -> None:
    """Serve a flow on a cron until interrupted, one run at a time.

    Without a Prefect server of the team's (PREFECT_API_URL), a local one runs as long as this does.

    Parameters
    ----------
    own : Flow
        The flow.
    name : str
        Of its deployment.
    cron : str
        When it runs; checked by `check_cron`.
    parameters : dict
        The flow's.
    say : callable
        Is called with each line for people.

    Raises
    ------
    InputError
        The server did not come up.
    """
    if PREFECT_API_URL.value():
        _serve(own, name, cron, parameters, say)
        return
    with local_server(free_port(), pages=True) as url, temporary_settings({PREFECT_API_URL: url}):
        os.environ["PREFECT_API_URL"] = url
        say(f"Prefect: {url.removesuffix('/api')}")
        _serve(own, name, cron, parameters, say)


def _serve(own: Any, name: str, cron: str, parameters: dict[str, Any], say: Callable[[str], None]) -> None:
    say(f"Serving {name!r} on {cron!r}; Ctrl-C ends it.")
    own.serve(name=name, cron=cron, limit=1, parameters=parameters, print_starting_message=False)


def check_cron(cron: str) -> None:
    """Refuse what is not a cron.

    Raises
    ------
    InputError
        With an example.
    """
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import ValidationError

    try:
        CronSchedule(cron=cron)
    except (ValidationError, ValueError) as fault:
        said = f"{fault.args[0]}. Five" if fault.args else "five"
        raise InputError(
            f'--cron {cron!r} is not a cron: {said} fields are wanted, minute to weekday, such as "0 2 * * *" for '
            "every night at two."
        ) from None
