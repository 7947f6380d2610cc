"""The command `foldcam predict`."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.common_options import JsonOption
from flows.model_options import (
    ActivationOption,
    ClassesOption,
    OrdinalOption,
    PreprocessingOption,
    ResizeOption,
    SizeOption,
    ThresholdsOption,
    TrustOption,
    WeightsOption,
)
from flows.printing import console, print_json, say
from flows.schedule_options import (
    CronOption,
    EveryOption,
    OverlapOption,
    RruleOption,
    StartWithinOption,
    TimezoneOption,
)
from tasks.config import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from flows.timing import Timing
    from tasks.comparison.drift.predicted import Predicted

NOT_SCHEDULED = "it does not go with a schedule, whose runs take the model as it is and replace the table."


def predict(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="An image, a folder, an array (x.npy), a table of paths (CSV, Parquet), or an address."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="M",
            help="models:/NAME@champion, models:/NAME/1, runs:/ID/model, a fold run's id, EXPERIMENT/BACKBONE/FOLD, a "
            ".keras or .h5 file, or a backbone's name with --weights.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The table: x.parquet or x.csv.")],
    explain: Annotated[
        bool, typer.Option("--explain", help="Write overlays of where the model looks into the folder x_overlays.")
    ] = False,
    batch_size: Annotated[
        int, typer.Option("--batch-size", metavar="N", help="Images that go through the model at once.")
    ] = 32,
    column: Annotated[
        str | None, typer.Option("--column", metavar="NAME", help="A table's column of paths; default: a usual name.")
    ] = None,
    weights: WeightsOption = None,
    log: Annotated[bool, typer.Option("--log", help="Log table, labels and drift to MLflow.")] = False,
    cron: CronOption = None,
    every: EveryOption = None,
    rrule: RruleOption = None,
    timezone: TimezoneOption = None,
    overlap: OverlapOption = "skip",
    start_within: StartWithinOption = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew, and replace what is there; default: go on where it stopped.")
    ] = False,
    preprocessing: PreprocessingOption = None,
    classes: ClassesOption = None,
    size: SizeOption = None,
    resize: ResizeOption = None,
    activation: ActivationOption = None,
    thresholds: ThresholdsOption = None,
    ordinal: OrdinalOption = False,
    trust: TrustOption = False,
    as_json: JsonOption = False,
) -> None:
    """Predict images by a model: a table of labels and probabilities, and how far the images have drifted.

    An image that cannot be read is a row with the reason, and the exit code is 3.
    """
    from tasks.explanation.said import read_said

    said = read_said(
        preprocessing=preprocessing,
        classes=classes,
        size=size,
        resize=resize,
        activation=activation,
        thresholds=thresholds,
        ordinal=ordinal,
        trust=trust,
    )
    if (cron, every, rrule) != (None, None, None):
        from flows.timing import read_timing

        said.check_unsaid(NOT_SCHEDULED)
        _refuse({"--weights": weights, "--fresh": fresh, "--trust": trust, "--json": as_json}, NOT_SCHEDULED)
        timing = read_timing(cron, every, rrule, timezone=timezone, overlap=overlap, start_within=start_within)
        _schedule(path, model, out, timing, explain=explain, batch_size=batch_size, column=column)
        return
    when = {"--timezone": timezone, "--overlap": overlap != "skip", "--start-within": start_within}
    _refuse(when, "it says how a schedule runs, and none of --cron, --every and --rrule is given.")
    from flows.predict_images import predict_images
    from flows.watching import watching
    from tasks.dataset.parallel import usable_cores

    with watching(console(stderr=True), "listing images") as progress:
        found = predict_images(
            path,
            model,
            out=out,
            explain=explain,
            batch_size=batch_size,
            column=column,
            log=log,
            fresh=fresh,
            weights=weights,
            said=said,
            threads=usable_cores(),
            report=progress,
        )
    _print(found, console(stderr=as_json))
    if as_json:
        print_json(found.to_json())
    if found.status != "completed":
        raise typer.Exit(3)


def _refuse(options: Mapping[str, object], why: str) -> None:
    """Refuse the first of some options that is given; `why` says what keeps it from going with the others."""
    given = [name for name, value in options.items() if value]
    if given:
        raise InputError(f"{given[0]}: {why} Leave it out.")


def _schedule(
    path: str, model: str, out: Path, timing: Timing, *, explain: bool, batch_size: int, column: str | None
) -> None:
    from flows.predict import serve_predictions

    with contextlib.suppress(KeyboardInterrupt):
        serve_predictions(path, model, out, timing, say=say, explain=explain, batch_size=batch_size, column=column)


def _print(found: Predicted, screen: Console) -> None:
    """Print how many images have which label, what could not be predicted, and whether the images have drifted."""
    from rich.table import Table

    from tasks.dataset.wording import counted

    n_good = found.n_images - found.n_failed
    table = Table()
    table.add_column("label", overflow="fold")
    table.add_column("images", justify="right")
    table.add_column("share", justify="right")
    for label, count in found.labels.items():
        table.add_row(label, f"{count:,}", f"{count / n_good:.1%}")
    screen.print(table, markup=False)
    lines = [f"{counted(n_good, 'image')} predicted by {found.model} in {found.seconds:.1f} s."]
    if found.n_reused:
        lines.append(f"{counted(found.n_reused, 'image')} had been predicted before.")
    if found.n_abstained:
        lines.append(
            f"For {counted(found.n_abstained, 'image')} its prediction set is anything but one class (column abstains)."
        )
    if found.drift is not None:
        lines += found.drift["said"]
    if found.n_failed:
        lines.append(f"{counted(found.n_failed, 'image')} could not be predicted:")
        lines += [f"  {image}: {error}" for image, error in found.errors]
        left = found.n_failed - len(found.errors)
        lines += [f"  and {left:,} more (column error)"] if left else []
    if found.run_id is not None:
        lines.append(f"Logged to MLflow as the run {found.run_id}.")
    for line in [*lines, f"Look at {found.out}"]:
        screen.print(line, markup=False, highlight=False, soft_wrap=True)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Predict images by any model: a table of labels, and drift.")(predict)
