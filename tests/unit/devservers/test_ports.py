"""Ports for servers that take a moment to listen: the system does not assign them to others in the
meantime.
"""

import socket

from devservers.ports import HIGHEST, HOST, LOWEST, free_ports


def test_free_ports_are_distinct_bindable_and_never_handed_out_by_the_system() -> None:
    found = free_ports(20)
    listening = [socket.create_server((HOST, port)) for port in found]
    handed_out = [socket.create_server((HOST, 0)) for _ in range(20)]

    assert len({server.getsockname()[1] for server in listening}) == 20
    assert not [server for server in handed_out if LOWEST <= server.getsockname()[1] <= HIGHEST]
    for server in (*listening, *handed_out):
        server.close()
