"""Checks the environment variables that foldcam reads itself."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tasks.care.findings import Finding
from tasks.config import InputError

READ_BY: tuple[tuple[str, str, str], ...] = (
    ("settings.logs", "tasks.workers.log_lines", "wanted"),
    ("settings.metrics", "tasks.workers.figures", "asked_port"),
    ("settings.metrics", "tasks.workers.figures", "asked_file"),
    ("settings.mlflow_wait", "tasks.tracking.patience", "wait_seconds"),
)
"""Codes of findings, and the functions that read a variable and refuse what cannot be used."""


def check_variables() -> list[Finding]:
    """Find whether the variables for logs, figures and waiting can be used as they are set."""
    found = []
    for code, module, name in READ_BY:
        read: Callable[[], Any] = getattr(importlib.import_module(module), name)
        try:
            read()
        except InputError as fault:
            found.append(Finding(code, "fault", str(fault)))
    return found or [Finding("settings", "ok", "the variables for logs, figures and waiting can be used")]
