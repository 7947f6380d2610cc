"""What a check of the installation finds: a state, a line that says it, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Literal

from tasks.config import InputError

State = Literal["ok", "warning", "fault"]

STATES: tuple[State, ...] = ("ok", "warning", "fault")
"""From the best to the worst."""


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    Attributes
    ----------
    code : str
        What was looked at, such as `mlflow.sign_in`; it stays the same from release to release.
    state : {"ok", "warning", "fault"}
        `fault`: experiments fail or lose results; `warning`: they may.
    said : str
        What was found.
    mend : str
        What to do about it; empty where nothing is to be done.
    """

    code: str
    state: State
    said: str
    mend: str = ""

    def to_json(self) -> dict[str, str]:
        """Give it as a JSON object."""
        return asdict(self)


def worst(findings: Iterable[Finding]) -> State:
    """Give the worst state of all, `ok` where there is none."""
    return max((found.state for found in findings), key=STATES.index, default="ok")


def asked(code: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    """Give what a check finds; a check that fails is a finding itself."""
    try:
        return look()
    except InputError as fault:
        return [Finding(code, "fault", str(fault))]
    except Exception as fault:  # one check that breaks must not hide the others
        return [Finding(code, "fault", f"The check itself failed: {type(fault).__name__}: {fault}", "Report this.")]
