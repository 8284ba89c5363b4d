"""Ports for the servers that tests start."""

from __future__ import annotations

import socket
from secrets import randbelow

# Below those that clients and other listeners get from the kernel (net.ipv4.ip_local_port_range, from 32768 on),
# and below Kubernetes' NodePorts.
FIRST, COUNT = 10_000, 20_000
# A Prefect that is away: nobody listens on the discard port (RFC 863), and no server draws it.
NO_PREFECT = "http://127.0.0.1:9/api"


def free_port(*, successors: int = 0) -> int:
    """Return a TCP port of the loopback that nobody listens on, and nobody takes before a server of ours has begun.

    Processes that run tests side by side ask at the same time, so each draws its own.

    Parameters
    ----------
    successors
        How many of the ports after it have to be free as well.
    """
    while True:
        port = FIRST + randbelow(COUNT)
        if all(map(_is_free, range(port, port + 1 + successors))):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
