"""A keyring that works without a desktop: its entries lie in the file that FOLDCAM_TESTS_KEYRING names."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class KeptKeyring(KeyringBackend):
    priority = 5
    name = "the tests' own"

    def get_password(self, service: str, username: str) -> str | None:
        return self._entries().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._file().write_text(json.dumps(self._entries() | {f"{service} {username}": password}), encoding="utf-8")

    def delete_password(self, service: str, username: str) -> None:
        entries = self._entries()
        if entries.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError
        self._file().write_text(json.dumps(entries), encoding="utf-8")

    def _file(self) -> Path:
        return Path(os.environ["FOLDCAM_TESTS_KEYRING"])

    def _entries(self) -> dict[str, str]:
        return json.loads(self._file().read_text(encoding="utf-8")) if self._file().exists() else {}
