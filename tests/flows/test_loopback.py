"""`foldcam ui`: the pages of both servers, who can reach them, and their end."""

from __future__ import annotations

import ipaddress
import signal
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
import pytest

from tests.support.processes import alive, ended, until
from tests.support.studio import make_studio


def listening(processes):
    """Give the addresses that processes listen on."""
    found = set()
    for own in processes:
        try:
            found |= {link.laddr for link in own.net_connections("inet") if link.status == psutil.CONN_LISTEN}
        except psutil.Error:
            continue
    return found


def page(address):
    with urlopen(address, timeout=120) as answer:
        return answer.read()


@pytest.fixture(scope="module")
def shown(tmp_path_factory, empty_store):
    """What `foldcam ui` said and served until Ctrl-C, where MLflow is told to listen everywhere."""
    folder = tmp_path_factory.mktemp("pages")
    home = folder / "prefect"
    process = make_studio(folder, empty_store, MLFLOW_HOST="0.0.0.0", PREFECT_HOME=str(home)).start("ui")
    with ended(process):
        said = [process.stdout.readline().split() for _ in range(3)]
        children = psutil.Process(process.pid).children(recursive=True)
        found = SimpleNamespace(
            pages={line[0]: page(line[1]) for line in said[:2]},
            ports={urlsplit(line[1]).port for line in said[:2]},
            addresses=listening([psutil.Process(process.pid), *children]),
            lines=[" ".join(child.cmdline()) for child in children],
            last=said[2],
            kept=[file.parent.parent for file in home.rglob("index.html")],
        )
        process.send_signal(signal.SIGINT)
        _, found.err = process.communicate(timeout=240)
    found.code, found.children = process.returncode, children
    return found


def test_ui_serves_both_pages_until_it_is_stopped(shown):
    assert b"<title>MLflow</title>" in shown.pages["MLflow:"]
    assert b"Prefect" in shown.pages["Prefect:"]
    assert {folder.name for folder in shown.kept} == {"foldcam-pages"}, "nothing is written beside the code"
    assert "Ctrl-C" in shown.last
    assert "Traceback" not in shown.err
    assert shown.code == 0
    assert shown.children
    until(lambda: not alive(shown.children), 10, "the servers' end")


def test_the_pages_listen_on_loopback_alone_and_the_store_s_address_is_in_no_command_line(shown):
    assert len(shown.ports) == 2
    assert shown.ports <= {own.port for own in shown.addresses}
    assert [own for own in shown.addresses if not ipaddress.ip_address(own.ip).is_loopback] == []
    assert shown.lines
    assert not any("sqlite" in line for line in shown.lines)
