"""Logs for machines: each line on standard error is one JSON object, in this process and in its workers."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from typing import Any, TextIO

from tasks.config import InputError
from tasks.workers.log_context import context, prefix
from tasks.workers.secrets import redacted

VARIABLE = "FOLDCAM_LOG"
"""`json`: lines for machines; unset or `text`: lines for people."""

OWN = ("foldcam", "flows", "tasks")
"""Loggers that are heard from level INFO on; the others from WARNING on."""

_BARE = "foldcam.printed"
"""The logger that a line is said to come from which no logger has written."""


class JsonLines(logging.Formatter):
    """Writes a record as one JSON object on one line.

    Its fields: `time` (ISO 8601, UTC), `level`, `logger`, `message`; `experiment`, `backbone`, `fold` and `run_id`
    where they are known; `flow_run` and `task_run` of Prefect's; `error` and `traceback` of an exception.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        fields = _fields(record.levelname, record.name, record.getMessage(), record.created)
        fields |= {
            short: str(value)
            for short, long in (("flow_run", "flow_run_name"), ("task_run", "task_run_name"))
            if (value := getattr(record, long, None))
        }
        if record.exc_info and record.exc_info[0] is not None:
            fields |= {"error": record.exc_info[0].__name__, "traceback": self.formatException(record.exc_info)}
        return _line(fields)


class ToldFormatter(logging.Formatter):
    """Writes a message behind what it is about: `faces vgg16/0: epoch 3 of 20 …`."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the text."""
        return redacted(prefix() + super().format(record))


class JsonStream(io.TextIOBase):
    """Takes what is printed and writes each line as a JSON object; lines that are one already pass as they are."""

    def __init__(self, below: TextIO, level: str = "INFO") -> None:
        self._below, self._level, self._rest = below, level, ""
        self._writing = threading.RLock()

    def fileno(self) -> int:
        """Give the number of the stream below."""
        return self._below.fileno()

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def write(self, text: str) -> int:
        """Take a text; whole lines are written on at once."""
        with self._writing:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                if line.strip():
                    self._below.write(as_json_line(line, self._level) + "\n")
        return len(text)

    def flush(self) -> None:
        """Send what was written."""
        if not self._below.closed:
            self._below.flush()

    def end(self) -> TextIO:
        """Write what has no line's end yet, and give the stream below."""
        if self._rest:
            self.write("\n")
        self.flush()
        return self._below


def wanted() -> bool:
    """Tell whether logs are to be JSON.

    Raises
    ------
    InputError
        `FOLDCAM_LOG` has a value that is not known.
    """
    value = os.environ.get(VARIABLE, "").strip().lower()
    if value not in ("", "text", "json"):
        raise InputError(f"{VARIABLE}={value!r} is not known. Set it to `json` for lines of JSON, or unset it.")
    return value == "json"


def set_up_logs() -> bool:
    """Make every line on standard error a JSON object if `FOLDCAM_LOG` says so; tells whether it does.

    It may be called again, also after a library has set up logging of its own.

    Raises
    ------
    InputError
        `FOLDCAM_LOG` has a value that is not known.
    """
    if not wanted():
        return False
    if not isinstance(sys.stderr, JsonStream):
        sys.stderr = JsonStream(sys.stderr)
    root = logging.getLogger()
    for logger in (root, *_loggers_with_streams()):
        for handler in [own for own in logger.handlers if _writes_to_people(own)]:
            logger.removeHandler(handler)
            logger.propagate = logger is not root
    if not any(isinstance(handler, JsonHandler) for handler in root.handlers):
        root.addHandler(JsonHandler())
    for name in OWN:
        logging.getLogger(name).setLevel(logging.INFO)
    logging.captureWarnings(True)
    return True


def tell_prefect() -> None:
    """Put experiment, backbone and fold before the messages of Prefect's run logs; nothing where it is not loaded."""
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        for handler in logging.getLogger(name).handlers:
            if not isinstance(handler.formatter, ToldFormatter):
                handler.setFormatter(ToldFormatter("%(message)s"))


def write_last(message: str) -> None:
    """Write the paragraph with which a command ends in error on standard error."""
    if isinstance(sys.stderr, JsonStream):
        message = as_json_line(message.rstrip(), "ERROR", "foldcam")
    sys.stderr.write(message.rstrip() + "\n")


def relay(line: str) -> None:
    """Write what a worker has written on its standard error on this process's, if logs are JSON."""
    if isinstance(sys.stderr, JsonStream) and line.strip():
        sys.stderr.write(as_json_line(line.rstrip("\n"), "WARNING", "foldcam.worker") + "\n")
        sys.stderr.flush()


def message_of(line: str) -> str:
    """Give what a line says: the message of a JSON line, any other line as it is."""
    fields = _parsed(line)
    return line if fields is None else f"{fields.get('error', '')} {fields['message']}".strip()


def as_json_line(line: str, level: str = "INFO", logger: str = _BARE) -> str:
    """Give a line as one JSON object; one that is such an object already stays as it is."""
    return line if _parsed(line) is not None else _line(_fields(level, logger, line.rstrip()))


class JsonHandler(logging.Handler):
    """Writes records as JSON lines to whatever standard error is at the time."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonLines())

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what cannot be written is reported as `logging` does."""
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:
            self.handleError(record)


def _parsed(line: str) -> dict[str, Any] | None:
    if not line.startswith('{"time": '):
        return None
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and "message" in fields else None


def _fields(level: str, logger: str, message: str, created: float | None = None) -> dict[str, Any]:
    when = datetime.now(UTC) if created is None else datetime.fromtimestamp(created, UTC)
    said = {"time": when.isoformat(timespec="milliseconds"), "level": level, "logger": logger, "message": message}
    return said | context()


def _line(fields: dict[str, Any]) -> str:
    clean = {name: redacted(value) if isinstance(value, str) else value for name, value in fields.items()}
    return json.dumps(clean, ensure_ascii=False, default=str)


def _loggers_with_streams() -> list[logging.Logger]:
    known = (logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger))
    return [logger for logger in known if any(_writes_to_people(handler) for handler in logger.handlers)]


def _writes_to_people(handler: logging.Handler) -> bool:
    """Tell whether a handler of some library writes lines for people on standard error."""
    if isinstance(handler, JsonHandler):
        return False
    stream = getattr(handler, "stream", None)
    named = getattr(stream, "name", "") in ("<stderr>", 2) or type(stream).__name__ == "MlflowLoggingStream"
    return named or isinstance(stream, JsonStream)
