"""What has changed in an experiment's images since they were last run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tasks.dataset.manifest import Manifest
from tasks.dataset.wording import counted
from tasks.tracking.lookup import newest_experiment
from tasks.tracking.store import local_copy


@dataclass(frozen=True)
class Arrivals:
    """Images by path, as they are against the last run's.

    Attributes
    ----------
    n_images : int
        How many there are now.
    new, gone, changed : tuple of str
        Paths below the data folder: not there before; there before; with other pixels or labels.
    since : str or None
        The MLflow run they are held against; None where there is none yet.
    """

    n_images: int
    new: tuple[str, ...]
    gone: tuple[str, ...]
    changed: tuple[str, ...]
    since: str | None

    @property
    def told(self) -> str:
        """What has changed, in a sentence."""
        now = counted(self.n_images, "image")
        if self.since is None:
            return f"{now}, none of them run before."
        parts = [
            f"{len(paths):,} {word}"
            for word, paths in (("new", self.new), ("gone", self.gone), ("changed", self.changed))
            if paths
        ]
        return f"{now}: {', '.join(parts)} since the last run." if parts else f"{now}, the same as in the last run."


def arrivals(manifest: Manifest, experiment: str, uri: str, cache: Path) -> Arrivals:
    """Hold an experiment's images against those of its newest run.

    Parameters
    ----------
    manifest : Manifest
        The images as they are.
    experiment : str
        Its name.
    uri : str
        MLflow's address.
    cache : Path
        Where a remote run's table of images is kept.

    Raises
    ------
    InputError
        The store cannot be used.
    """
    now = _looks(manifest)
    before, run_id = _looks_before(experiment, uri, cache)
    common = now.keys() & before.keys()
    return Arrivals(
        len(now),
        tuple(sorted(now.keys() - common)),
        tuple(sorted(before.keys() - common)),
        tuple(sorted(path for path in common if now[path] != before[path])),
        run_id,
    )


def _looks(manifest: Manifest) -> dict[str, tuple[str, str]]:
    table = manifest.table
    return {
        str(path): (str(sha256), str(label))
        for path, sha256, label in zip(table["path"], table["sha256"], table["label"], strict=True)
    }


def _looks_before(experiment: str, uri: str, cache: Path) -> tuple[dict[str, tuple[str, str]], str | None]:
    from tasks.config import InputError
    from tasks.tracking.store import open_client

    client = open_client(uri)
    if client.get_experiment_by_name(experiment) is None:
        return {}, None
    try:
        run_id = newest_experiment(client, experiment).run_id
        file = local_copy(client, run_id, "manifest.parquet", cache / "artifacts")
        return _looks(Manifest.read(file, Path())), run_id
    except (InputError, FileNotFoundError):  # an experiment without a run, or a run that ended before it had logged
        return {}, None
