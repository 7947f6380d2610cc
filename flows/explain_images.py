"""Explains images by a model of anyone's, and writes what is found into a folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from flows.loading import kind_of, loaded_network, recorded_model
from flows.watching import Watch, silent
from tasks.config import Explanation
from tasks.dataset.asked_images import check_images, find_images
from tasks.experiment_file import read_explanation
from tasks.explanation.asked import Asked, checked_methods, feature_layers
from tasks.explanation.out_folder import check_out, whole_or_nothing
from tasks.explanation.overlays import colour_table
from tasks.explanation.said import Said

if TYPE_CHECKING:
    import pandas as pd

    from tasks.tracking.models import RecordedModel


@dataclass(frozen=True, eq=False)
class ExplainedImages:
    """What was explained, and where it is.

    Attributes
    ----------
    model : str
        What people call the model.
    out : Path
        The folder with all files.
    table : DataFrame
        A row an image, target, method and layer, as in `explanations.csv`; its files are below `out`.
    warnings : tuple of str
        What to know before the pictures are believed.
    """

    model: str
    out: Path
    table: pd.DataFrame
    warnings: tuple[str, ...]

    @property
    def page(self) -> Path:
        """The page on which people look at them."""
        return self.out / "explanations.html"

    def to_json(self) -> dict[str, Any]:
        """Give the JSON object of `foldcam explain --json`."""
        rows = self.table.astype(object).to_dict("records")
        explanations = [{str(key): _plain(value) for key, value in row.items()} for row in rows]
        return {
            "model": self.model,
            "out": str(self.out),
            "explanations": explanations,
            "warnings": list(self.warnings),
        }


def explain_images(
    images: Sequence[str | Path] | str | Path,
    model: str | Path,
    *,
    out: str | Path,
    methods: Sequence[str] = (),
    layers: Sequence[str] = (),
    top: int | None = None,
    classes: Sequence[str] = (),
    against: str | None = None,
    feature_maps: Sequence[str] = (),
    faithfulness: int | None = None,
    settings: Sequence[str] = (),
    weights: str | Path | None = None,
    said: Said | None = None,
    threads: int | None = None,
    report: Watch | None = None,
) -> ExplainedImages:
    """Explain images by a model, and write overlays, maps, figures, a table and a page into a folder.

    Parameters
    ----------
    images : path, or sequence of paths
        Image files, folders of them, and rows of arrays (`test.npy#17`).
    model : str or Path
        `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `models:/m-ID`, `runs:/ID/NAME`, a fold run's id,
        `EXPERIMENT/BACKBONE/FOLD`, a `.keras` or `.h5` file, or a backbone's name with `weights`.
    out : str or Path
        A folder that is new or empty. It holds all files in the end, or none.
    methods : sequence of str
        None: those of the experiment that the model comes from, else Grad-CAM.
    layers : sequence of str
        What CAM methods map, by name or `auto`, several at once; none: what the experiment mapped, else the backbone's
        own layer, else the one that `auto` finds.
    top : int or None
        Explain so many of each image's likeliest classes.
    classes : sequence of str
        Explain these on every image. With neither, what the model decides for is explained: the class, the grade, or
        each label that reaches its threshold.
    against : str or None
        A class; explained is why the only one of `classes` and not this.
    feature_maps : sequence of str
        Draw the channels of these layers, or of so many of the first convolutions.
    faithfulness : int or None
        On how many maps it is measured, the first ones; None: 32.
    settings : sequence of str
        `KEY=VALUE`, as in `explanation` of an experiment file: `integrated_gradients.steps=240`, `colormap=jet`.
    weights : str, Path or None
        `imagenet`, or the file of a backbone's whole network.
    said : Said or None
        What a model file of anyone's does not say: its pre-processing, size, classes and the like.
    threads : int or None
        Threads of TensorFlow, which then computes by repeatable algorithms; None, or where it has computed in this
        process already: TensorFlow is left as it is.
    report : callable or None
        See `flows.watching.Watch`.

    Raises
    ------
    InputError
        Something asked for cannot be had; `out` is as it was.
    """
    said, tell = said or Said(), report or silent
    kind = kind_of(model, weights, said)
    place = Path(out).expanduser()
    asked_on = partial(_asked, methods, layers, top, classes, against, feature_maps, faithfulness, settings)
    asked = asked_on(None)
    check_out(place)
    found = find_images([images] if isinstance(images, str | Path) else images)
    check_images(found, lambda done, total: tell("reading images", done, total))
    recorded = recorded_model(str(model), kind)
    if recorded is not None:
        asked = asked_on(_settings_of(recorded))
    tell("loading the model", 0, 1)
    subject = loaded_network(str(model), kind, recorded, weights, said, threads)
    tell("loading the model", 1, 1)
    from tasks.explanation.explain_asked import explain_asked

    with whole_or_nothing(place) as folder:
        table, warnings = explain_asked(subject, found, asked, folder, tell)
    return ExplainedImages(subject.title, place, table, tuple(warnings))


def _asked(
    methods: Sequence[str],
    layers: Sequence[str],
    top: int | None,
    classes: Sequence[str],
    against: str | None,
    feature_maps: Sequence[str],
    faithfulness: int | None,
    settings: Sequence[str],
    base: Explanation | None,
) -> Asked:
    own = read_explanation(settings, base)
    changes: dict[str, Any] = {}
    if methods:
        changes["methods"] = checked_methods(methods)
    if feature_maps:
        changes["feature_maps"] = feature_layers(feature_maps)
    own = own.model_copy(update=changes)
    colour_table(own.colormap)
    count = {} if faithfulness is None else {"measured": faithfulness}
    asked = Asked(own, tuple(layers), top, tuple(classes), against, **count)
    asked.check()
    return asked


def _settings_of(recorded: RecordedModel) -> Explanation | None:
    """Give how the experiment explained; what it says of pictures of its own is left out."""
    own = {name: value for name, value in recorded.explanation.items() if name in Explanation.model_fields}
    try:
        return Explanation.model_validate(own | {"feature_maps": 0})
    except ValidationError:  # settings of an earlier version
        return None


def _plain(value: Any) -> Any:
    """Give a cell as JSON takes it."""
    import pandas as pd

    if pd.isna(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if hasattr(value, "item") else value
