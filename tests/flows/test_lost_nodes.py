from __future__ import annotations

import socket
from contextlib import closing

import pytest

from flows import lost_nodes
from flows.lost_nodes import LostNodes


@pytest.fixture
def calls():
    """Connections of this process to two hosts, which say nothing, by their addresses."""
    with closing(socket.create_server(("0.0.0.0", 0))) as server:  # all of 127.0.0.0/8
        port = server.getsockname()[1]
        found = {host: socket.create_connection((host, port)) for host in ("127.0.0.7", "127.0.0.8")}
        yield found
        for call in found.values():
            call.close()


def node(name, address, alive):
    return {"NodeID": name, "NodeManagerAddress": address, "Alive": alive}


def is_up(call):
    call.settimeout(0.2)
    try:
        return call.recv(1) != b""
    except TimeoutError:
        return True


def test_a_call_to_a_host_that_ray_has_given_up_ends_and_no_other(calls):
    LostNodes(lambda: [node("a", "127.0.0.7", False), node("b", "127.0.0.8", True)]).hang_up()
    assert {host: is_up(call) for host, call in calls.items()} == {"127.0.0.7": False, "127.0.0.8": True}


def test_a_host_with_another_node_is_left_alone(calls):
    LostNodes(lambda: [node("a", "127.0.0.7", False), node("b", "127.0.0.7", True)]).hang_up()
    assert is_up(calls["127.0.0.7"])


def test_it_is_hung_up_once_for_each_node_that_is_lost(calls, monkeypatch):
    monkeypatch.setattr(lost_nodes, "LOOK_SECONDS", 0)
    nodes = [node("a", "127.0.0.9", False)]
    lost = LostNodes(lambda: nodes)
    lost.hang_up()
    nodes[0] = node("a", "127.0.0.7", False)  # one that was given up before is not looked at again
    lost.hang_up()
    assert is_up(calls["127.0.0.7"])
    nodes.append(node("c", "127.0.0.7", False))
    lost.hang_up()
    assert not is_up(calls["127.0.0.7"])
