"""Options by which commands are told what a model file does not say itself."""

from __future__ import annotations

from typing import Annotated

import typer

WeightsOption = Annotated[
    str | None,
    typer.Option("--weights", metavar="W", help="Of a bare backbone: imagenet, or the file of the whole network."),
]
PreprocessingOption = Annotated[
    str | None,
    typer.Option(
        "--preprocessing",
        metavar="P",
        help="Model files: model (it takes RGB of 0 to 255 as it is), a backbone whose pre-processing it was "
        "trained with, or a YAML file.",
    ),
]
ClassesOption = Annotated[
    str | None,
    typer.Option("--classes", metavar="A,B|FILE", help="Model files: names of classes, in the outputs' order."),
]
SizeOption = Annotated[
    int | None, typer.Option("--size", metavar="N", help="Model files: height and width of images in pixels.")
]
ResizeOption = Annotated[
    str | None, typer.Option("--resize", metavar="HOW", help="Model files: stretch (default), pad or crop.")
]
ActivationOption = Annotated[
    str | None,
    typer.Option("--activation", metavar="A", help="Model files that end in logits: softmax or sigmoid."),
]
ThresholdsOption = Annotated[
    str | None, typer.Option("--thresholds", metavar="P,…", help="Model files: from when on a label is given.")
]
OrdinalOption = Annotated[bool, typer.Option("--ordinal", help="Model files: its sigmoids are grades.")]
TrustOption = Annotated[bool, typer.Option("--trust", help="Let code that is in the model file run.")]
