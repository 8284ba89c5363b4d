"""How an operator connects this service to a JupyterHub."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr


@dataclass(frozen=True, kw_only=True)
class HubConnection:
    """A hub, and what is done with its users' servers.

    Attributes
    ----------
    url
        The hub's address as its users type it, without ``/hub``.
    token
        Of a service with the scopes ``read:users``, ``servers`` and ``tokens``; None where users give their own.
    starts_servers
        Whether a server that is down is started.
    stops_servers
        Whether what was started is stopped again.
    start_seconds
        How long a start may take.
    """

    url: str
    token: SecretStr | None = None
    starts_servers: bool = True
    stops_servers: bool = False
    start_seconds: float = 300
