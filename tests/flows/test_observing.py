"""What is written of a run by Prefect and by the command, where logs are for machines."""

from __future__ import annotations

import asyncio
import json

from prefect import flow, get_run_logger, task
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId

from flows.observing import observed, tell_libraries
from flows.runners import settle
from tasks.workers.log_context import told


@task(name="a-fold", persist_result=False)
def _fold(fold: int) -> None:
    with told(backbone="ncnn", fold=fold):
        get_run_logger().warning("the loss is high")


@flow(name="observed", persist_result=False)
def _observed() -> None:
    get_run_logger().warning("begins")
    for future in [_fold.submit(fold) for fold in range(2)]:
        future.result()


def logs_of(flow_run_id):
    async def read():
        async with get_client() as client:
            return await client.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[flow_run_id])))

    return [log.message for log in asyncio.run(read())]


def test_prefects_run_logs_name_experiment_backbone_and_fold(prefect_api, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "never-to-be-shown")
    with observed("faces"):
        tell_libraries()
        state = _observed(return_state=True)
        settle(state.state_details.flow_run_id)
    said = logs_of(state.state_details.flow_run_id)
    assert "faces: begins" in said
    assert {"faces ncnn/0: the loss is high", "faces ncnn/1: the loss is high"} <= set(said)


def test_a_command_that_fails_writes_one_object(own_studio):
    studio = own_studio
    studio.variables["FOLDCAM_LOG"] = "json"
    done = studio.foldcam("check", "gone.yaml")
    (line,) = done.stderr.splitlines()
    fields = json.loads(line)
    assert done.returncode == 2
    assert (fields["level"], fields["logger"]) == ("ERROR", "foldcam")
    assert "gone.yaml" in fields["message"]


def test_no_experiment_and_an_unknown_kind_of_log_are_told(own_studio):
    studio = own_studio
    studio.variables["FOLDCAM_LOG"] = "json"
    done = studio.foldcam("compare", "--json")
    assert done.returncode == 2
    assert [json.loads(line)["level"] for line in done.stderr.splitlines()] == ["ERROR"]
    studio.variables["FOLDCAM_LOG"] = "yaml"
    done = studio.foldcam("backbones")
    assert done.returncode == 2
    assert done.stderr.startswith("FOLDCAM_LOG='yaml' is not known")
