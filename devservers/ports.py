"""Free ports for servers that take a moment to listen."""

import random
import socket
from contextlib import ExitStack

HOST = "127.0.0.1"
LOWEST, HIGHEST = 20_000, 32_767
"""Below the ports that systems assign themselves: one of those may be taken before our server
listens.
"""


def free_ports(count: int) -> list[int]:
    """This many ports on which nothing listens now."""
    with ExitStack() as sockets:
        found: list[int] = []
        while len(found) < count:
            port = random.randint(LOWEST, HIGHEST)  # noqa: S311 - no secret
            tried = sockets.enter_context(socket.socket())
            try:
                tried.bind((HOST, port))
            except OSError:
                continue
            found.append(port)
        return found
