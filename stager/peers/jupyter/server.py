"""A user's notebook server, as its hub describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """What a hub says of a notebook server.

    Attributes
    ----------
    username
        The user's name as the hub spells it.
    name
        The server's; the default server has an empty one.
    is_ready
        Whether it answers, for all that the hub knows.
    pending
        What the hub is at (``spawn``, ``stop``, ``check``), or None.
    url
        Where it is, with a slash at its end; None of a server that is down.
    """

    username: str
    name: str
    is_ready: bool = False
    pending: str | None = None
    url: str | None = None

    @property
    def title(self) -> str:
        """What it is called in messages."""
        named = f" {self.name}" if self.name else ""
        return f"The notebook server{named} of {self.username}"


def server_state(
    user: dict[str, Any], name: str, hub_url: httpx.URL, public_url: httpx.URL | None = None
) -> ServerState:
    """Return the state of a server from its hub's description of the user.

    Parameters
    ----------
    hub_url
        Where the hub is reached from here.
    public_url
        Where its users reach it, if elsewhere; what is there is reached from here by ``hub_url``.

    Notes
    -----
    A default server that is down is not in the description, and a named one is if that was asked for. ``url`` is a
    path, and ``full_url`` is there where the hub knows its own address only.

    Raises
    ------
    ValueError
        The server has an address that a token is not sent to.
    """
    username = str(user["name"])
    server = user["servers"].get(name)
    if server is None or server.get("stopped"):
        return ServerState(username=username, name=name)
    return ServerState(
        username=username,
        name=name,
        is_ready=bool(server.get("ready")),
        pending=server.get("pending"),
        url=_address(hub_url, (server.get("full_url") or server["url"]).removeprefix(str(public_url or hub_url))),
    )


def _address(hub_url: httpx.URL, told: str) -> str:
    url = hub_url.join(told)
    if url.scheme not in {hub_url.scheme, "https"}:
        reason = f"its address is {url.scheme}:, and the hub's {hub_url.scheme}:"
        raise ValueError(reason)
    if url.userinfo:  # it would go in the token's stead
        reason = "its address has a name and a password"
        raise ValueError(reason)
    return str(url)
