"""The part of the experiment file that says where the fold runs are done, and how many at a time."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from tasks.settings.base import Form

ON_CLUSTERS = ("address", "cpus_per_fold", "gpus_per_fold")
"""Keys that mean nothing where all fold runs are done on this machine."""


class Runner(Form):
    """Where the fold runs are done, and how they are spread. A word alone is its kind."""

    kind: Literal["process", "ray", "dask"] = Field(
        "process",
        description="`process`: on this machine, each fold run in a process of its own; `ray`, `dask`: on the nodes of "
        "a cluster. What a fold run gives does not depend on it.",
    )
    address: str | None = Field(
        None,
        min_length=1,
        description="Of a cluster that runs (ray: `auto`, `HOST:6379`, `ray://HOST:10001`; dask: `tcp://HOST:8786`); "
        "null: RAY_ADDRESS or DASK_SCHEDULER_ADDRESS, else a cluster on this machine that lasts as long as the run.",
    )
    workers: int | Literal["auto"] = Field(
        "auto",
        description="Fold runs at a time; `auto`: one a GPU, else as many as the cores allow, on a cluster all of it.",
    )
    threads_per_worker: int = Field(1, ge=1, description="Threads of TensorFlow in each worker.")
    cpus_per_fold: float | None = Field(
        None, gt=0, description="Cores that a cluster sets aside for a fold run; null: `threads_per_worker`."
    )
    gpus_per_fold: float | None = Field(
        None,
        ge=0,
        description="GPUs that a cluster sets aside for a fold run, a share such as 0.5 for two on one; null: 1 where "
        "the cluster has any, else 0.",
    )
    retries: int = Field(1, ge=0, le=10, description="How often a fold run that failed is tried again.")
    timeout_minutes: float | None = Field(None, gt=0, description="The longest a fold run may take; null: no limit.")
    out_of_memory: Literal["fail", "halve_batch"] = Field(
        "fail",
        description="What becomes of a fold run that runs out of memory: `fail`: it is tried again as `retries` says, "
        "and the others go on; `halve_batch`: it is tried again with half its batch size, down to one image, which "
        "makes its figures those of another batch size: its parameters and the report say so.",
    )

    @property
    def on_cluster(self) -> bool:
        """Whether the fold runs are given to a cluster."""
        return self.kind != "process"

    @model_validator(mode="before")
    @classmethod
    def _one_word_is_the_kind(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @field_validator("workers")
    @classmethod
    def _at_least_one(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be 1 or more, or `auto`")
        return value

    @field_validator("gpus_per_fold")
    @classmethod
    def _a_share_or_whole_gpus(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("must be a share of one GPU (below 1) or a whole number of GPUs")
        return value

    @model_validator(mode="after")
    def _keys_of_clusters(self) -> Self:
        own = [key for key in ON_CLUSTERS if getattr(self, key) is not None]
        if own and not self.on_cluster:
            raise ValueError(f"{', '.join(own)}: only with kind `ray` or `dask`; the kind is `process`")
        if self.kind == "dask" and self.gpus_per_fold is not None and self.gpus_per_fold % 1:
            raise ValueError("gpus_per_fold: Dask cannot share a GPU; give a whole number, or use kind `ray`")
        return self
