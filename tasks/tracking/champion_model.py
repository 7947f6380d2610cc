"""The champion (models from code): fold models that answer together for images of any kind, calibrated and explained.

MLflow copies this file into every registered version, and the modules of `CODE` lie beside the networks there. So it
needs Keras with TensorFlow, NumPy, pandas, Pillow and MLflow, and nothing of foldcam's.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from PIL import Image

BATCH = 32
CODE = (
    "champion_inputs",
    "champion_networks",
    "decoding",
    "shaping",
    "outputs",
    "prediction_sets",
    "maps",
    "blending",
)
"""The modules that travel, each a file that can be loaded alone."""
_SERVED = "__pyfunc_model_path__"  # MLflow's scoring server sets it


class _Asked(NamedTuple):
    batch_size: int
    on_error: str
    explain: bool
    one_fold: bool


class Champion:
    """The mean of fold models, with calibrated probabilities, prediction sets and Grad-CAM."""

    def load_context(self, context: Any) -> None:
        """Read what is to be known about the model and the code that travels with it, and build its networks."""
        self.about = json.loads(Path(context.artifacts["about"]).read_text(encoding="utf-8"))
        folder = Path(context.artifacts["code"])
        self.code = {name: _code(folder / f"{name}.py") for name in CODE}
        steps = self.about["preprocessing"]
        self.how = self.code["shaping"].Shaping(steps["resize"], tuple(steps["pad_color"]), steps["mask"])
        self.ground = tuple(steps["transparency_color"])
        with np.load(context.artifacts["scores"], allow_pickle=False) as scores:
            self.scores = self.code["prediction_sets"].unpacked(dict(scores))
        self.networks = {
            name: self.code["champion_networks"].Network(Path(context.artifacts["networks"]), name, own["cam_layer"])
            for name, own in self.about["networks"].items()
        }
        self.lock = threading.Lock()

    # Without a type hint for the images: MLflow warns of each that is no list.
    def predict(self, context: Any, model_input, params: dict[str, Any] | None = None) -> pd.DataFrame:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG002
        """Give label, probabilities and prediction set of each image, and on request its Grad-CAM overlay.

        Over HTTP (`mlflow models serve`) the body is `{"inputs": [...], "params": {...}}`; what is in `inputs` is any
        of the forms below that JSON can hold. A served model reads no paths.

        Parameters
        ----------
        context : PythonModelContext
            Unused: all was read in `load_context`.
        model_input : DataFrame, Series, dict, list, ndarray, str, bytes or Path
            One image or many: a table or a dictionary with the column `image`, a list, or an array. An image is the
            bytes of a file, the same in base64 (a `data:` address too), a path, or pixels of shape (height, width) or
            (height, width, 1, 3 or 4): 8 bits, 16 bits, or floating-point numbers from 0 to 1. Any size and mode;
            files are decoded as for training: EXIF rotation, palettes, CMYK, 16 bits and transparency. A numeric array
            whose third and last axis is not 1, 3 or 4 long is a batch of grey images.
        params : dict, optional
            `explain` (False): whether there is a column `overlay`. `batch_size` (32): how many images are decoded and
            computed at a time, from 1 on. `on_error` ("raise"): `row` keeps an image that cannot be read as a row
            whose column `error` says why, and goes on. `one_fold` (False): whether there are columns `output/<class>`.

        Returns
        -------
        DataFrame, one row an image, in order, with a new index from 0 on
            `label` : str. The decided class or grade, or all decided labels as the data writes them.
            `probability` : float. Calibrated, of the decided class or grade; with several labels, that of the label
            that is decided the least surely, as it is decided.
            `prediction_set` : list of str. The classes that cannot be excluded: in the long run it holds the true one
            for 90 of 100 images like those trained on. With several labels: those that the image may have, of each
            label 90 of 100 that are there.
            `abstains` : bool. Whether the set does not hold exactly one class; with several labels, whether presence
            and absence of some label are both possible, or neither.
            `prob/<class>` : float, 0 to 1. Calibrated; they sum to 1 but for several labels.
            `output/<class>` : float, 0 to 1, with `one_fold`. Calibrated, by the models of one fold, which the row's
            number names in turn: as the experiment's out-of-fold predictions are, so that the two can be held together.
            `overlay` : str, with `explain`. A PNG in base64 at the image's own size: the mean of the fold models'
            Grad-CAM maps of the decided class, each scaled to its own maximum, over the image.
            `error` : str, with `on_error="row"`. Empty where the image could be read; elsewhere `label`, `overlay` and
            `prediction_set` are None, the numbers NaN, and `abstains` is True.

        Raises
        ------
        MlflowException
            An image cannot be read, with its row, from 0 on, and the reason; or a parameter is not as above. The error
            code is INVALID_PARAMETER_VALUE, to which a server answers with the status 400.
        """
        asked = _asked(params or {})
        try:
            rows = self.code["champion_inputs"].rows_of(model_input)
        except ValueError as fault:
            raise _refused(str(fault)) from None
        with self.lock:
            parts = [self._batch(rows, start, asked) for start in range(0, max(len(rows), 1), asked.batch_size)]
        return pd.concat(parts, ignore_index=True)

    @property
    def _n_classes(self) -> int:
        return len(self.about["classes"])

    def _batch(self, rows: list[Any], start: int, asked: _Asked) -> pd.DataFrame:
        images, errors = self._read(rows[start : start + asked.batch_size], start, asked.on_error)
        places = [place for place, image in enumerate(images) if image is not None]
        good = [images[place] for place in places]
        members = self._members(good)
        table = self._table(members)
        if asked.one_fold:
            for number, label in enumerate(self.about["classes"]):
                chosen = (start + np.array(places, dtype=np.int64)) % len(members)
                table[f"output/{label}"] = members[chosen, range(len(good)), number]
        if asked.explain:
            table["overlay"] = pd.Series(self._overlays(good, members), dtype=object)
        if asked.on_error == "row":
            table.index = pd.Index(places, dtype=np.int64)
            table = _with_gaps(table, len(images))
            table["error"] = pd.Series(errors, dtype=str)
        return table

    def _read(self, entries: list[Any], start: int, on_error: str) -> tuple[list[Any], list[str]]:
        images: list[Any] = []
        errors = [""] * len(entries)
        for place, entry in enumerate(entries):
            try:
                images.append(
                    self.code["champion_inputs"].pixels_of(
                        entry, self.code["decoding"], self.ground, may_read_files=_SERVED not in os.environ
                    )
                )
            except ValueError as fault:
                if on_error == "raise":
                    raise _refused(f"The image in row {start + place} cannot be used: {fault}.") from None
                images.append(None)
                errors[place] = str(fault)
        return images, errors

    def _squares(self, images: list[Any], backbone: str) -> np.ndarray:
        size = self.about["networks"][backbone]["size"]
        return np.stack([self.code["shaping"].shape(image, size, self.how) for image in images]).astype(np.float32)

    def _members(self, images: list[Any]) -> np.ndarray:
        """Give the calibrated probabilities of each fold's models, of shape (n_members, n_images, n_classes)."""
        kind, members = self.about["kind"], self.about["members"]
        found = np.zeros((len(members), len(images), self._n_classes))
        if not images:
            return found
        for name, network in self.networks.items():
            squares = self._squares(images, name)
            for place, member in enumerate(members):
                own = member["networks"][name]
                raw = self.code["outputs"].class_probabilities(network.outputs(place, squares), kind)
                found[place] += own["share"] * self.code["outputs"].scaled(raw, kind, own["weights"], own["biases"])
        return found

    def _table(self, members: np.ndarray) -> pd.DataFrame:
        """Lay out what the members say of the images."""
        kind, classes = self.about["kind"], self.about["classes"]
        probabilities = members.mean(axis=0)
        decided = self.code["outputs"].decide(probabilities, kind, self.about["thresholds"] or 0.5)
        sets, abstains = self.code["prediction_sets"].sets_of(
            members, self.scores, kind, coverage=self.about["coverage"], n_repeats=self.about["n_repeats"]
        )
        columns: dict[str, Any] = {
            "label": pd.Series([self._text(one) for one in decided], dtype=object),
            "probability": self._surety(probabilities, decided),
            "prediction_set": pd.Series([[classes[k] for k in np.flatnonzero(one)] for one in sets], dtype=object),
            "abstains": abstains,
        }
        columns |= {f"prob/{label}": probabilities[:, place] for place, label in enumerate(classes)}
        return pd.DataFrame(columns)

    def _surety(self, probabilities: np.ndarray, decided: np.ndarray) -> np.ndarray:
        if self.about["kind"] != "multilabel":
            return np.take_along_axis(probabilities, decided[:, None], axis=1)[:, 0]
        return np.asarray(np.where(decided == 1, probabilities, 1 - probabilities).min(axis=1))

    def _text(self, decided: Any) -> str:
        """Give one decision as the data writes its labels."""
        classes = self.about["classes"]
        if self.about["kind"] != "multilabel":
            return str(classes[decided])
        labels = [label for label, has in zip(classes, decided, strict=True) if has]
        return self.about["separator"].join(labels) or self.about["none_label"] or ""

    def _overlays(self, images: list[Any], members: np.ndarray) -> list[str]:
        kind, steps = self.about["kind"], self.about["overlay"]
        if not images:
            return []
        targets = self.code["outputs"].explained_class(members.mean(axis=0), kind, self.about["thresholds"] or 0.5)
        scores = self.code["outputs"].class_scores(kind, self._n_classes)
        heat: list[Any] = [0.0] * len(images)
        for name, network in self.networks.items():
            squares = self._squares(images, name)
            for place, member in enumerate(self.about["members"]):
                share = member["networks"][name]["share"] / len(self.about["members"])
                maps = self.code["maps"].normalise(network.maps(place, squares, targets, scores))
                for number, (image, own) in enumerate(zip(images, maps, strict=True)):
                    heat[number] = heat[number] + share * self.code["shaping"].lay_back(own, *image.shape[:2], self.how)
        colours = np.asarray(steps["colours"], dtype=np.uint8)
        return [
            _png(
                self.code["blending"].blend(self.code["shaping"].masked(image, self.how), own, colours, steps["alpha"])
            )
            for image, own in zip(images, heat, strict=True)
        ]


class Served(Champion, PythonModel):  # type: ignore[misc]
    """The champion as MLflow loads it; it inherits `predict`, so that MLflow neither wraps it nor warns of it."""


def _asked(params: dict[str, Any]) -> _Asked:
    size, on_error = int(params.get("batch_size", BATCH)), str(params.get("on_error", "raise"))
    if size < 1 or on_error not in ("raise", "row"):
        raise _refused(f"batch_size must be 1 or more, got {size}; on_error must be raise or row, got {on_error!r}")
    return _Asked(size, on_error, bool(params.get("explain", False)), bool(params.get("one_fold", False)))


def _with_gaps(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """Give a table the rows that it lacks of 0 to n - 1, without a decision."""
    whole = table.reindex(range(n))
    for name in ("label", "prediction_set", "overlay"):
        if name in whole:
            whole[name] = whole[name].astype(object).where(whole[name].notna(), None)
    whole["abstains"] = [row not in table.index or bool(table["abstains"][row]) for row in range(n)]
    return whole


def _png(image: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


class _Refused(MlflowException):  # type: ignore[misc]
    """An error whose message stays short: MLflow's server would put the whole request, all images, in front of it."""

    @property
    def message(self) -> str:
        return self._said

    @message.setter
    def message(self, text: str) -> None:
        self._said = text.rpartition("\nError: ")[2]


def _refused(message: str) -> MlflowException:
    return _Refused.invalid_parameter_value(message)


def _code(path: Path) -> Any:
    """Load a module from its file alone, under a name that nobody else imports."""
    name = f"_champion_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"the model's file {path} is no Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


set_model(Served())
