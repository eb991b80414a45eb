"""Ports for servers that take a moment to listen: whatever the system hands out meanwhile is
another.
"""

import socket

from devservers.ports import HIGHEST, HOST, LOWEST, free_ports


def test_free_ports_are_different_can_be_listened_at_and_are_never_handed_out_by_the_system() -> (
    None
):
    found = free_ports(20)
    listening = [socket.create_server((HOST, port)) for port in found]
    handed_out = [socket.create_server((HOST, 0)) for _ in range(20)]

    assert len({one.getsockname()[1] for one in listening}) == 20
    assert not [one for one in handed_out if LOWEST <= one.getsockname()[1] <= HIGHEST]
    for one in (*listening, *handed_out):
        one.close()
