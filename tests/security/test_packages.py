"""The locked packages against the advisories that are known, and the repository against secrets left in it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
ADVISORIES = json.loads((ROOT / "infra" / "advisories.json").read_text())["advisories"]
SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "an AWS key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})",
    "a Slack token": r"\bxox[baprs]-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T[A-Z0-9]+/",
    "a Prefect key": r"\bpn[ub]_[A-Za-z0-9]{30,}",
    "a web token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
}
PLANTED = {
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "an AWS key": "AKIA" + "ABCDEFGHIJKLMNOP",
    "a GitHub token": "ghp_" + "a" * 36,
    "a Slack token": "xoxb-" + "1234567890-abc",
    "a Prefect key": "pnu_" + "b" * 36,
    "a web token": "eyJ" + "a" * 12 + ".eyJ" + "b" * 12 + "." + "c" * 12,
}


def locked():
    """Give by name the versions that the lock file pins, with their hashes' count."""
    text = (ROOT / "requirements.lock").read_text()
    found: dict[str, list[Version]] = {}
    for line in re.findall(r"^([A-Za-z0-9][^\s;\\]*==[^\s;\\]+)", text, re.MULTILINE):
        own = Requirement(line)
        found.setdefault(canonicalize_name(own.name), []).append(Version(next(iter(own.specifier)).version))
    return found


@pytest.mark.parametrize("advisory", ADVISORIES, ids=lambda own: own["id"])
def test_no_locked_version_has_a_known_fault(advisory):
    for version in locked().get(canonicalize_name(advisory["package"]), []):
        assert version >= Version(advisory["fixed_in"]), f"{advisory['package']} {version}: {advisory['id']}"


def test_the_advisories_are_about_packages_that_are_locked():
    names = {canonicalize_name(own["package"]) for own in ADVISORIES}
    assert names <= locked().keys()


def test_every_locked_package_has_hashes_and_no_host():
    text = (ROOT / "requirements.lock").read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) > 100
    assert [block.split("==")[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "index-url" not in text
    assert "@ http" not in text


@pytest.mark.parametrize("kind", SECRETS)
def test_the_patterns_find_such_a_secret(kind):
    assert re.search(SECRETS[kind], PLANTED[kind])


def test_no_file_of_the_repository_holds_a_secret():
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert len(files) > 300
    found = [
        f"{file.relative_to(ROOT)}: {kind}"
        for file in files
        if file.is_file()
        for text in [file.read_bytes().decode("utf-8", "ignore")]
        for kind, pattern in SECRETS.items()
        if re.search(pattern, text)
    ]
    assert found == []
