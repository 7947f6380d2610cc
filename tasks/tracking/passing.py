"""Tells faults of a tracking server or a store of artifacts that may pass from those that stay."""

from __future__ import annotations

import re

import requests
from mlflow.exceptions import MlflowException, RestException
from sqlalchemy import exc

from tasks.settings.base import causes

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
"""Answers after which the same request may succeed; 507 (no room for an artifact) once someone has made room."""

_BROKEN = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
_CODE = re.compile(r"error code (\d{3})\b")


def is_passing(fault: BaseException) -> bool:
    """Tell whether a call that failed like this may succeed later, with nothing changed on this side."""
    return any(_passes(part) for part in causes(fault)) and not any(_stays(part) for part in causes(fault))


def reason_of(fault: BaseException) -> str:
    """Give one sentence of what went wrong, of the innermost of the faults that led to one another."""
    for part in reversed(list(causes(fault))):
        if isinstance(part, requests.Timeout):
            return "it did not answer in time."
        if isinstance(part, requests.exceptions.RetryError):
            codes = re.search(r"too many (\d{3}) error responses", str(part))
            return f"it answers with the HTTP status {codes[1]}." if codes else "it answers with errors."
        if isinstance(part, requests.HTTPError) and part.response is not None:
            return f"it answers with the HTTP status {part.response.status_code}."
        if isinstance(part, ConnectionRefusedError):
            return "nothing listens there."
        if isinstance(part, requests.ConnectionError):
            return "the connection broke."
    lines = str(fault).strip().splitlines() or [type(fault).__name__]
    return f"{lines[0][:300].rstrip('.')}."


def _passes(fault: BaseException) -> bool:
    if isinstance(fault, requests.HTTPError):
        return fault.response is not None and fault.response.status_code in PASSING
    if isinstance(fault, (requests.exceptions.RetryError, *_BROKEN)):
        return True
    if isinstance(fault, RestException):
        return fault.get_http_status_code() in PASSING
    if isinstance(fault, MlflowException):
        code = _CODE.search(str(fault.message))
        return code is not None and int(code[1]) in PASSING
    if isinstance(fault, (exc.OperationalError, exc.InterfaceError)):
        return fault.connection_invalidated or "locked" in str(fault) or not _is_sqlite(fault)
    return _is_of_the_artifact_store(fault)


def _stays(fault: BaseException) -> bool:
    return isinstance(fault, (requests.exceptions.SSLError, requests.exceptions.InvalidURL))


def _is_sqlite(fault: exc.DBAPIError) -> bool:
    return type(fault.orig).__module__.startswith("sqlite3")


def _is_of_the_artifact_store(fault: BaseException) -> bool:
    """Tell whether a bucket's client met a fault that may pass; its package is there only where it is used."""
    if not type(fault).__module__.startswith(("botocore", "boto3")):
        return False
    answer = getattr(fault, "response", None)
    if isinstance(answer, dict):
        return answer.get("ResponseMetadata", {}).get("HTTPStatusCode") in PASSING
    return any(kind.__name__ in ("HTTPClientError", "ConnectionError") for kind in type(fault).__mro__)
