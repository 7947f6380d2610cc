"""Checks Python and the packages against what the installed foldcam asks for."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tasks.care.findings import Finding

SHOWN = ("prefect", "mlflow", "tensorflow", "tensorflow-cpu", "keras")
"""Packages with a line of their own; the others have one together."""


def check_versions() -> list[Finding]:
    """Find whether Python and every package that foldcam needs are there in a version that it works with."""
    wanted = [Requirement(line) for line in requires("foldcam") or ()]
    own = [one for one in wanted if one.marker is None or one.marker.evaluate({"extra": ""})]
    python = str(metadata("foldcam")["Requires-Python"] or "")
    found = [_python(python, platform.python_version()), Finding("foldcam", "ok", f"foldcam {version('foldcam')}")]
    judged = {one.name: judge(one, _installed(one.name)) for one in own}
    found += [one for name, one in judged.items() if name in SHOWN or one.state != "ok"]
    fine = sum(one.state == "ok" for name, one in judged.items() if name not in SHOWN)
    return [*found, Finding("packages", "ok", f"{fine} other packages in the versions that foldcam works with")]


def judge(wanted: Requirement, installed: str | None) -> Finding:
    """Find whether an installed version (None: not installed) is what a requirement asks for."""
    code, bounds = f"packages.{wanted.name}", str(wanted.specifier)
    mend = f"`make install` in foldcam's folder, or `pip install '{wanted.name}{bounds}'`"
    if installed is None:
        return Finding(code, "fault", f"{wanted.name} is not installed; foldcam needs {bounds or 'it'}", mend)
    if not wanted.specifier.contains(installed, prereleases=True):
        return Finding(code, "fault", f"{wanted.name} {installed} is installed; foldcam works with {bounds}", mend)
    return Finding(code, "ok", f"{wanted.name} {installed}")


def _python(bounds: str, running: str) -> Finding:
    if not SpecifierSet(bounds).contains(running, prereleases=True):
        mend = "Install one of these, remove .venv, and `make install PYTHON=/path/to/it`"
        return Finding("python", "fault", f"Python {running}; foldcam works with {bounds}", mend)
    return Finding("python", "ok", f"Python {running}")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
