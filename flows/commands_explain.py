"""The command `foldcam explain`."""

from __future__ import annotations

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
from flows.printing import console, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from flows.explain_images import ExplainedImages

SHOWN_ROWS = 20
"""Maps that are listed on the screen; the table has all."""

_WORDS = ("image", "explained", "method")
"""Columns of the screen's table that hold words."""


def explain(
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE…", help="Image files, folders of them, rows of arrays (test.npy#17).")
    ],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="M",
            help="EXPERIMENT/BACKBONE/FOLD, a fold run's id, models:/NAME/1 or models:/NAME@ALIAS of one network, "
            "runs:/ID/model, a .keras or .h5 file, or a backbone's name with --weights.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A folder that is new or empty.")],
    weights: WeightsOption = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", metavar="NAME", help="Several allowed; default: the experiment's, else gradcam."),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option("--layer", metavar="NAME", help="What CAM methods map: a layer, or auto; several allowed."),
    ] = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="N", help="The N likeliest classes; default: what is decided.")
    ] = None,
    class_: Annotated[
        list[str] | None, typer.Option("--class", metavar="NAME", help="A class by name; several allowed.")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", metavar="NAME", help="Why the --class, and not this one.")
    ] = None,
    feature_maps: Annotated[
        list[str] | None,
        typer.Option("--feature-maps", metavar="N|LAYER", help="Draw channels: the first N convolutions, or layers."),
    ] = None,
    faithfulness: Annotated[
        int | None,
        typer.Option(
            "--faithfulness", metavar="N", help="Measure the first N maps (some 100 passes each); default 32."
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="As in an experiment file, such as colormap=jet."),
    ] = None,
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
    """Explain images by any model: overlays, maps, figures, a table and a page in a folder.

    Every image is opened before anything is written: one that cannot be read stops the command.
    """
    import sys

    from flows.explain_images import explain_images
    from flows.watching import watching
    from tasks.dataset.parallel import usable_cores
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
    try:
        with watching(console(stderr=True), "reading images") as progress:
            done = explain_images(
                images,
                model,
                out=out,
                methods=method or (),
                layers=layer or (),
                top=top,
                classes=class_ or (),
                against=against,
                feature_maps=feature_maps or (),
                faithfulness=faithfulness,
                settings=set_ or (),
                weights=weights,
                said=said,
                threads=usable_cores(),
                report=progress,
            )
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. Nothing was written.\n")
        raise typer.Exit(3) from None
    _print(done, console(stderr=as_json))
    if as_json:
        print_json(done.to_json())


def _print(done: ExplainedImages, console: Console) -> None:
    """Print the first maps with what they are for, what to know of them, and where to look."""
    from rich.markup import escape
    from rich.table import Table

    from tasks.explanation.class_figures import percent

    layers = done.table.groupby("method")["layer"].nunique()
    several = set(layers[layers > 1].index)
    table = Table()
    measured = bool(done.table["faithfulness"].notna().any())
    figures = ("faithfulness", "controls") if measured else ()
    for heading in ("image", "explained", "probability", "method", *figures):
        words = heading in _WORDS
        table.add_column(heading, overflow="fold", justify="left" if words else "right", no_wrap=not words)
    for row in done.table.head(SHOWN_ROWS).to_dict("records"):
        method = f"{row['method']} {row['layer']}" if row["method"] in several else str(row["method"])
        controls = max(row["faithfulness_random"], row["faithfulness_gaussian"])
        values = (_figure(row["faithfulness"]), _figure(controls)) if measured else ()
        cells = (row["image"], row["target"], percent(row["probability"]), method, *values)
        table.add_row(*(escape(str(cell)) for cell in cells))
    console.print(table)
    left = len(done.table) - SHOWN_ROWS
    lines = [f"{left} more maps are in {done.out / 'explanations.csv'}"] if left > 0 else []
    lines += [f"Note: {warning}" for warning in done.warnings]
    for line in [*lines, f"Look at {done.page}"]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _figure(value: float) -> str:
    """Give a measure for the screen; nothing where it was not measured."""
    return "" if value != value else f"{round(value, 3) + 0.0:.3f}"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command(short_help="Explain images by any model: overlays, maps, a page, a table.")(explain)
