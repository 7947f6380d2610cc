from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

import psutil
import pytest

from tests.support.processes import ended, until
from tests.support.studio import Studio, make_studio


def listening(pid):
    """Give the addresses that a process and all below it listen on."""
    found = set()
    for own in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            found |= {link.laddr for link in own.net_connections("inet") if link.status == psutil.CONN_LISTEN}
        except psutil.Error:
            continue
    return found


@pytest.fixture
def place(tmp_path, empty_store) -> Studio:
    return make_studio(tmp_path, empty_store, PREFECT_HOME=str(tmp_path / "prefect"), MLFLOW_HOST="0.0.0.0")


def test_the_pages_listen_on_loopback_alone_and_the_store_s_address_is_in_no_command_line(place, monkeypatch):
    for name in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    process = place.start("ui")
    with ended(process):
        said = []

        def told():
            said.append(process.stdout.readline())
            return any("Ctrl-C" in line for line in said)

        until(told, 90, "both addresses")
        addresses = listening(process.pid)
        lines = [" ".join(own.cmdline()) for own in psutil.Process(process.pid).children(recursive=True)]
    ports = {urlsplit(line.split()[1]).port for line in said if "http" in line}
    assert len(ports) == 2
    assert ports <= {own.port for own in addresses}
    assert [own for own in addresses if not ipaddress.ip_address(own.ip).is_loopback] == []
    assert not any("sqlite" in line for line in lines)
