"""What a driver's error means: whether it may pass, and in plain words what it is and how to mend it."""

from __future__ import annotations

import errno
import re

_LONGEST = 200
"""Letters of a driver's own words that are shown."""
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
    "https": "~/.netrc",
}
"""Where drivers look for credentials, by protocol."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_PASSING = (errno.EIO, errno.EBUSY)
"""What s3fs makes of a server's inner fault, and of one that is too busy."""
_PROTOCOL_NAMES = {"s3a": "s3", "gcs": "gs", "http": "https"}


def lacks_credentials(fault: BaseException) -> bool:
    """Return whether a driver found no credentials, and asked nobody."""
    return type(fault).__name__ in ("NoCredentialsError", "PartialCredentialsError")


def underlying(fault: BaseException) -> BaseException:
    """Return the error itself: fsspec says of any web page that it cannot look at that it is not there."""
    cause = fault.__cause__
    if isinstance(fault, FileNotFoundError) and cause is not None and _is_of_aiohttp(cause) and _status(cause) != 404:
        return cause
    return fault


def is_passing(fault: BaseException) -> bool:
    """Return whether the same question may be answered a little later: a slow or cut line, a busy server."""
    status = _status(fault)
    if status is not None:
        return status >= 500 or status in (408, 429)
    if isinstance(fault, FileNotFoundError | PermissionError | ValueError) or is_unreachable(fault):
        return False
    known = isinstance(fault, ConnectionError) or getattr(fault, "errno", None) in _PASSING
    return known or _is_of_aiohttp(fault)


def is_unreachable(fault: BaseException) -> bool:
    """Return whether no connection came about, or no answer in time."""
    names = {kind.__name__ for kind in type(fault).__mro__}
    silent = {"ClientConnectorError", "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"}
    return isinstance(fault, TimeoutError) or bool(names & silent)


def explained(address: str, fault: BaseException, *, anonymous: bool = False) -> str:
    """Return one paragraph: what is wrong with an address, and how to mend it."""
    where = f"data.path: {address}"
    if isinstance(fault, ImportError):
        return _without_driver(address)
    if isinstance(fault, OSError) and fault.errno in _FULL:
        return (
            f"What is fetched from {address} cannot be kept: {fault.strerror}. Make room, or name another folder in "
            "FOLDCAM_HOME."
        )
    if isinstance(fault, FileNotFoundError):
        return f"{where}: there is no such bucket, folder or file ({_words(fault)}). Is it spelled right?"
    if isinstance(fault, PermissionError) or _status(fault) in (401, 403):
        return f"{where} may not be read: {_refusal(address, fault, anonymous)}"
    if is_unreachable(fault) or isinstance(fault, ConnectionError):
        other = " (AWS_ENDPOINT_URL names a server that is not Amazon's)" if _last_protocol(address) == "s3" else ""
        return f"{where} cannot be reached: {_words(fault)}. Is the network there, and is the address right{other}?"
    if "Protocol not known" in str(fault):
        return f"{where}: there is no kind of address {_first_protocol(address)}://. Is it spelled right?"
    return f"{where} cannot be read: {_words(fault)}."


def _refusal(address: str, fault: BaseException, anonymous: bool) -> str:
    places = _CREDENTIALS.get(_last_protocol(address))
    said = "there are no credentials, and it is not open to everybody" if anonymous else f"refused ({_words(fault)})"
    return f"{said}. Give credentials that may: {places or 'where its driver looks for them'}."


def _without_driver(address: str) -> str:
    from fsspec.registry import known_implementations

    for link in address.split("::"):
        known = known_implementations.get(link.partition("://")[0], {})
        package = known.get("class", "fsspec").partition(".")[0]
        if package != "fsspec" and not _is_installed(package):
            extra = " (or with foldcam: pip install 'foldcam[remote]')" if package in ("s3fs", "gcsfs") else ""
            return (
                f"data.path: {address} needs the package {package}, which is not installed: pip install "
                f"{package}{extra}."
            )
    said = known_implementations.get(_first_protocol(address), {}).get("err", "its driver is not installed")
    return f"data.path: {address} cannot be read: {said}."


def _is_installed(package: str) -> bool:
    try:
        __import__(package)
    except ImportError:
        return False
    return True


def _is_of_aiohttp(fault: BaseException) -> bool:
    return type(fault).__module__.startswith("aiohttp")


def _status(fault: BaseException) -> int | None:
    status = getattr(fault, "status", None)
    return status if isinstance(status, int) else None


def _first_protocol(address: str) -> str:
    return address.partition("://")[0]


def _last_protocol(address: str) -> str:
    protocol = _first_protocol(address.split("::")[-1])
    return _PROTOCOL_NAMES.get(protocol, protocol)


def _words(fault: BaseException) -> str:
    """Return a driver's own words in one short line, without user names and passwords."""
    silence = "no answer in time" if isinstance(fault, TimeoutError) else type(fault).__name__
    text = " ".join(str(fault).split()).rstrip(".") or silence
    text = re.sub(r"://[^/\s@]*@", "://", re.sub(r"\[Errno [0-9]+\] ", "", text))
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
