"""Reading flow runs back from Prefect's server."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterName,
)
from prefect.client.schemas.sorting import FlowRunSort


def flow_runs(name: str) -> list[Any]:
    """Give the flow runs of this name, oldest first."""

    async def read() -> list[Any]:
        async with get_client() as client:
            wanted = FlowRunFilter(name=FlowRunFilterName(any_=[name]))
            return list(await client.read_flow_runs(flow_run_filter=wanted, sort=FlowRunSort.START_TIME_ASC))

    return asyncio.run(read())


def task_runs(flow_run_id: UUID) -> list[Any]:
    """Give the task runs of a flow run."""

    async def read() -> list[Any]:
        async with get_client() as client:
            wanted = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
            return list(await client.read_task_runs(flow_run_filter=wanted))

    return asyncio.run(read())


def artifacts(flow_run_id: UUID) -> dict[str, Any]:
    """Give what a flow run has put on its page, by key."""

    async def read() -> list[Any]:
        async with get_client() as client:
            wanted = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
            return list(await client.read_artifacts(artifact_filter=wanted))

    return {found.key: found for found in asyncio.run(read())}
