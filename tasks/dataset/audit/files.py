"""The audit's checks of files: what cannot be read, what is not what its name says, and names that lead elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import pandas as pd

from tasks.dataset.audit.findings import Finding, Severity, Subject
from tasks.dataset.pixels.addresses import split_address
from tasks.dataset.wording import counted, listed

_REJECTED = {
    "files.unreadable": ("They cannot be read", "Restore them from their source, or remove them."),
    "files.truncated": ("They are cut short or damaged", "Copy them again from their source, or remove them."),
    "files.empty": ("They hold nothing", "Copy them again from their source, or remove them."),
    "files.missing": ("They are not there", "Mend the link or the table, or restore the files."),
    "files.bomb": ("They are far larger than pictures are", "Store them smaller, or remove them."),
    "files.no_image": ("They are no images, whatever their names say", "Remove or rename them."),
    "labels.missing": ("They have no label", "Give them one, or leave them out of the data."),
}
_SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jfif"},
    "MPO": {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"},
    "PNG": {".png"},
    "BMP": {".bmp", ".dib"},
    "DIB": {".bmp", ".dib"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
    "GIF": {".gif"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "JPEG2000": {".jp2"},
    "AVIF": {".avif"},
}


def left_out(subject: Subject) -> Iterator[Finding]:
    """Yield `files.unreadable`, `.truncated`, `.empty`, `.missing`, `.bomb`, `.no_image` and `labels.missing`."""
    rejected = subject.manifest.rejected
    for code, (what, advice) in _REJECTED.items():
        rows = rejected[rejected["code"] == code]
        if len(rows):
            told = rows["path"] if code == "labels.missing" else rows["path"] + " (" + rows["reason"] + ")"
            message = f"{what}, so {counted(len(rows), 'image is', 'images are')} left out: {listed(told)}."
            severity: Severity = "note" if code == "labels.missing" else "warn"
            yield Finding(code, severity, message, advice, tuple(rows["path"]))


def ignored(subject: Subject) -> Iterator[Finding]:
    """Yield `files.ignored`: files that are no images by their names."""
    if subject.n_ignored_files:
        yield Finding(
            "files.ignored",
            "note",
            f"Ignored, since the name does not end as an image's: {counted(subject.n_ignored_files, 'file')}.",
            "Nothing to do, unless images with an unusual ending are among them.",
        )


def links_outside(subject: Subject) -> Iterator[Finding]:
    """Yield `files.links_outside`: links to images and folders outside the data folder."""
    links = subject.manifest.links_outside
    if links:
        yield Finding(
            "files.links_outside",
            "note",
            f"Lead out of the data folder: {counted(len(links), 'link')}: {listed(links)}.",
            "What lies there counts as data. See that it is meant, and that nobody changes it meanwhile.",
            links,
        )


def odd_files(subject: Subject) -> Iterator[Finding]:
    """Yield `files.wrong_type`, `files.animated` and `files.two_names`."""
    facts, paths = subject.facts, subject.table["path"]
    if facts is None:
        return
    files = paths.map(lambda path: split_address(path)[0])
    known = facts["format"].map(_SUFFIXES)
    wrong = [
        isinstance(suffixes, set) and PurePosixPath(path).suffix.lower() not in suffixes
        for path, suffixes in zip(files, known, strict=True)
    ]
    yield from _of(
        "files.wrong_type",
        "note",
        "Another format than the name says",
        "They are read by their content. Rename them, for other programs' sake.",
        [f"{path} ({found})" for path, found in zip(paths[wrong], facts["format"][wrong], strict=True)],
        paths[wrong],
    )
    more = paths[facts["has_more"].to_numpy(dtype=bool)]
    yield from _of(
        "files.animated",
        "warn",
        "Several frames or pages, of which only the first counts",
        "Store each frame that matters as a file of its own, with a group.",
        more,
        more,
    )
    each = pd.DataFrame({"path": paths, "file": files, "inode": facts["inode"], "pixels": subject.table["sha256"]})
    each = each[each["inode"] > 0].drop_duplicates("file")
    twice = each[each.duplicated(["inode", "pixels"], keep=False)].sort_values(["inode", "path"], kind="stable")
    names = [" = ".join(own) for _, own in twice.groupby("inode", sort=False)["path"]]
    yield from _of(
        "files.two_names",
        "warn",
        "One file under several names, through links",
        "Remove all names but one: the image counts as often as it has names.",
        names,
        twice["path"],
    )


def _of(
    code: str, severity: Severity, what: str, advice: str, shown: pd.Series[str] | list[str], paths: pd.Series[str]
) -> Iterator[Finding]:
    if len(paths):
        yield Finding(code, severity, f"{what}: {counted(len(shown), 'file')}: {listed(shown)}.", advice, tuple(paths))
