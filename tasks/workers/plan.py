"""An experiment's plan: its images, its folds, and the fingerprint of every fold run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from tasks.config import Experiment
from tasks.dataset.folds.assignment import FoldRows, by_repeat, fold_rows, write_folds
from tasks.dataset.manifest import Manifest
from tasks.dataset.pixels.shaping import SHAPING_VERSION
from tasks.dataset.sources.region_digest import regions_digest
from tasks.dataset.sources.regions import read_regions
from tasks.evaluation.outputs import OUTPUTS_VERSION
from tasks.training.states import forget_state
from tasks.workers.order import Job, Order
from tasks.workers.plan_files import are_whole, write_tables

Cell = tuple[str, int]
"""A backbone and a fold: one fold run."""

NOT_DECISIVE: Any = {
    "description": True,
    "runner": True,
    "cache": True,
    "data": {"path", "regions", "corrections"},
    "folds": {"file"},
    "model": {"weights"},
    "backbones": {"__all__": {"weights"}},
}
"""Settings that do not make another experiment; what matters of folds, weights and regions is in the fold runs'
fingerprints, and the labels that corrections say are in the images' digest.

`data.audit` and `data.allow_leaks` do make another one, so that it has an audit page of its own; its fold runs are the
same ones as long as each has the same rows.
"""

RECORD_VERSION = 2
"""Changes whenever fold runs come to log what the comparison needs, so that those without it are done anew."""

DECISIVE_PACKAGES = ("foldcam", "tensorflow", "tensorflow-cpu", "keras", "numpy", "scikit-learn", "pillow")


@dataclass(frozen=True)
class Plan:
    """What is to be done, before anything is.

    Attributes
    ----------
    experiment : Experiment
        The settings.
    manifest : Manifest
        The images.
    folds_of_row : ndarray of shape (n_images, n_repeats), int
        Each image's fold in each repeat, the numbers running on from repeat to repeat; -1 for the holdout.
    rows : tuple of FoldRows
        Row numbers by role, one entry a fold, repeat after repeat.
    fingerprints : dict of (backbone, fold) to str
        SHA-256 of everything that decides a fold run's result.
    fingerprint : str
        SHA-256 of everything that decides the experiment's.
    cache_folder, folder : Path
        foldcam's own store, and this plan's place in it.
    """

    experiment: Experiment
    manifest: Manifest
    folds_of_row: np.ndarray
    rows: tuple[FoldRows, ...]
    fingerprints: dict[Cell, str]
    fingerprint: str
    cache_folder: Path
    folder: Path
    _tables: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """The checksums of what was written into `folder`."""

    @property
    def n_folds(self) -> int:
        """Number of folds in all repeats together."""
        return len(self.rows)

    @property
    def n_repeats(self) -> int:
        """How often the images are cut into folds; fold f belongs to repeat f // (n_folds // n_repeats)."""
        return int(self.folds_of_row.shape[1])

    @property
    def fold_of_row(self) -> np.ndarray:
        """Each image's fold in the first repeat, of shape (n_images,); -1 for the holdout."""
        return np.asarray(self.folds_of_row[:, 0])

    @property
    def backbones(self) -> tuple[str, ...]:
        """The backbones' names in the order of the file."""
        return tuple(self.experiment.backbones)

    def backbone_fingerprint(self, backbone: str) -> str:
        """Give one fingerprint for all fold runs of a backbone."""
        return combined([self.fingerprints[backbone, fold] for fold in range(self.n_folds)])

    def order(
        self, job: Job, cell: Cell, tracking_uri: str = "", run_id: str = "", details: dict[str, Any] | None = None
    ) -> Order:
        """Give the order for a worker, whose tables are there even if the cache was cleared or damaged meanwhile."""
        if not are_whole(self.folder, self._tables):
            self.write()
        return Order(
            job=job,
            experiment=self.experiment.model_dump(mode="json"),
            data_root=str(self.manifest.root),
            plan_folder=str(self.folder),
            tables=dict(self._tables),
            cache_folder=str(self.cache_folder / "arrays"),
            backbone=cell[0],
            fold=cell[1],
            tracking_uri=tracking_uri,
            run_id=run_id,
            state_file=str(self.state_file(cell)) if job == "fold" else "",
            details=details or {},
        )

    def state_file(self, cell: Cell) -> Path:
        """Give the file that holds where a fold run's fit stands until it is done."""
        return self.cache_folder / "fits" / f"{self.fingerprints[cell]}.npz"

    def forget_fit(self, cell: Cell) -> None:
        """Remove where a fold run's fit stands: it is done, or is to be done afresh."""
        forget_state(self.state_file(cell))

    def write(self) -> None:
        """Write the tables that workers read into `folder`; whole files only.

        Raises
        ------
        InputError
            The folder cannot be written.
        """
        writers = {
            "manifest.parquet": self.manifest.write,
            "folds.csv": lambda path: write_folds(path, self.manifest, self.folds_of_row),
        }
        self._tables.update(write_tables(self.folder, writers))


def make_plan(experiment: Experiment, manifest: Manifest, fold_of_row: np.ndarray, cache_folder: Path) -> Plan:
    """Give the plan of an experiment whose images and folds are known; nothing is written yet.

    Parameters
    ----------
    experiment
        The settings.
    manifest
        The images.
    fold_of_row : ndarray of shape (n_images,) or (n_images, n_repeats), int
        From `assign_folds`.
    cache_folder
        foldcam's own store.

    Raises
    ------
    InputError
        A fold leaves nothing to train or to validate on, or the regions cannot be used.
    """
    rows = tuple(
        fold_rows(
            manifest,
            fold_of_row,
            fold,
            validation_fraction=experiment.folds.validation_fraction,
            seed=experiment.seed,
        )
        for fold in range(int(fold_of_row.max()) + 1)
    )
    content = _content_of_rows(manifest)
    on_rows = [digest_of([content[getattr(part, role)].tolist() for role in ROLES]) for part in rows]
    regions = _digest_of_regions(experiment, manifest)
    fingerprints = {
        (backbone, fold): digest_of(
            _decides(experiment, manifest, backbone) | regions | {"fold": fold, "rows": on_rows[fold]}
        )
        for backbone in experiment.backbones
        for fold in range(len(rows))
    }
    settings = experiment.model_dump(mode="json", exclude=NOT_DECISIVE)
    fingerprint = digest_of([settings, manifest.digest, [fingerprints[cell] for cell in sorted(fingerprints)]])
    folder = cache_folder / "plans" / fingerprint[:24]
    return Plan(experiment, manifest, by_repeat(fold_of_row), rows, fingerprints, fingerprint, cache_folder, folder)


ROLES = ("train", "validation", "test", "holdout")


def _content_of_rows(manifest: Manifest) -> np.ndarray:
    """Give one text an image that says all of it that can matter: its name, its pixels, its label."""
    table = manifest.table
    return (table["path"] + "\t" + table["sha256"] + "\t" + table["label"]).to_numpy(dtype=object)


def _decides(experiment: Experiment, manifest: Manifest, backbone: str) -> dict[str, Any]:
    model, kind = experiment.model_of(backbone), manifest.targets.kind
    weight_file = file_digest(model.weights)
    thresholds = {"thresholds": experiment.evaluation.thresholds} if kind == "multilabel" else {}
    return thresholds | {
        "backbone": backbone,
        "targets": asdict(manifest.targets),
        "preprocessing": experiment.data.preprocessing.model_dump(mode="json"),
        "shaping": SHAPING_VERSION,
        "outputs": OUTPUTS_VERSION,
        "record": RECORD_VERSION,
        "model": model.model_dump(mode="json") | ({"weights": "file"} if weight_file else {}),
        "weight_file": weight_file,
        "training": experiment.training_of(backbone).model_dump(mode="json"),
        "explanation": experiment.explanation.model_dump(mode="json"),
        "feature_dtype": experiment.cache.feature_dtype,
        "seed": experiment.seed,
        "deterministic": experiment.deterministic,
        "threads": experiment.runner.threads_per_worker,
        "versions": versions(),
    }


def _digest_of_regions(experiment: Experiment, manifest: Manifest) -> dict[str, str]:
    source, table = experiment.data.regions, manifest.table
    if source is None:
        return {}
    regions = read_regions(source, manifest.root, table["path"].tolist())
    sizes = table["height"].tolist(), table["width"].tolist()
    return {"regions": regions_digest(regions, zip(table["path"].tolist(), *sizes, strict=True))}


def combined(fingerprints: Sequence[str]) -> str:
    """Give one fingerprint for several, in any order."""
    return digest_of(sorted(fingerprints))


def file_digest(weights: str) -> str:
    """Give the SHA-256 of a weight file; an empty text for a name of published weights."""
    path = Path(weights)
    if weights in ("none", "imagenet", "vggface") or not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Give the versions of the packages that decide a result."""
    return {name: _version(name) for name in DECISIVE_PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def digest_of(value: Any) -> str:
    """Give the SHA-256 of a value that JSON can hold, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
