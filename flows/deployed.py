"""The flows that `foldcam deploy` gives to work pools: what the commands do, with forms on Prefect's pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows.form import formed
from flows.nightly import ExperimentFile, Overrides, nightly
from flows.outcomes import refused, state_of
from flows.predict import predict
from tasks.comparison.pages.markdown import escaped
from tasks.config import InputError
from tasks.dataset.wording import counted
from tasks.experiment_file import read_experiment

__all__ = ["check", "experiment", "explain_images", "nightly", "predict"]

Names = Annotated[list[str] | None, Field(description="Only these; empty: all.")]


@flow(name="experiment", flow_run_name="{file}", persist_result=False)
@formed
def experiment(
    file: ExperimentFile,
    overrides: Overrides = [],  # noqa: B006 — Prefect's form shows a list
    backbones: Names = None,
    folds: Annotated[list[Annotated[int, Field(ge=0)]] | None, Field(description="Only these; empty: all.")] = None,
    fresh: Annotated[bool, Field(description="Do again what the record has already.")] = False,
) -> State[Any]:
    """Run an experiment file: train, evaluate, explain and log every backbone on every fold."""
    try:
        settings = read_experiment(Path(file), overrides)
        if settings.data.labels.kind == "none":
            from flows.explain import explain_photographs

            return state_of(explain_photographs(settings, backbones=backbones, fresh=fresh))
        from flows.cross_validate import cross_validate

        return state_of(cross_validate(settings, backbones=backbones, folds=folds, fresh=fresh))
    except InputError as fault:
        return refused(str(fault))


@flow(name="check", flow_run_name="check {file}", persist_result=False)
@formed
def check(
    file: ExperimentFile,
    overrides: Overrides = [],  # noqa: B006
    fresh: Annotated[bool, Field(description="Read every image again, also unchanged ones.")] = False,
) -> State[Any]:
    """Read an experiment file and audit its data; train nothing."""
    from flows.check import Check, check_experiment

    try:
        found = check_experiment(read_experiment(Path(file), overrides), fresh=fresh)
    except InputError as fault:
        return refused(str(fault))
    lines = [f"warn {warning}" for warning in found.warnings]
    if isinstance(found, Check):
        lines = [f"{own.severity} {own.code}: {own.message} {own.advice}" for own in found.audited.findings]
    create_markdown_artifact(
        "\n\n".join(map(escaped, lines)) or "Nothing was found.", key="audit", description=escaped(file)
    )
    if found.leak is not None:
        return refused(str(found.leak))
    return Completed(message=f"{counted(len(lines), 'finding')}; nothing stands in the way of a run")


@flow(name="explain-images", flow_run_name="{out}", persist_result=False)
@formed
def explain_images(
    images: Annotated[list[str], Field(min_length=1, description="Image files, folders, rows of arrays.")],
    model: Annotated[
        str, Field(min_length=1, description="Such as models:/NAME@champion, or EXPERIMENT/BACKBONE/FOLD.")
    ],
    out: Annotated[str, Field(min_length=1, description="A folder that is new or empty.")],
    methods: Annotated[list[str], Field(description="Such as gradcam; empty: the experiment's.")] = [],  # noqa: B006
    top: Annotated[int | None, Field(ge=1, description="The likeliest classes; empty: what is decided.")] = None,
) -> State[Any]:
    """Explain images by a model: overlays, maps, figures, a table and a page in a folder."""
    from flows.explain_images import explain_images as explain
    from tasks.dataset.parallel import usable_cores

    try:
        done = explain(images, model, out=out, methods=methods, top=top, threads=usable_cores())
    except InputError as fault:
        return refused(str(fault))
    return Completed(message=f"{counted(len(done.table), 'map')} by {done.model}: {done.page}")
