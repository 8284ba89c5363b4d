"""Whether a hub can be used as its operator says, or what is wrong."""

from __future__ import annotations

import re

import httpx

from stager.errors import ConfigurationError, PeerFault, PeerRefused
from stager.peers.answers import checked
from stager.peers.jupyter.connection import HubConnection
from stager.peers.jupyter.hub import Hub

# The first whose tokens have scopes of their own.
OLDEST = 3
ROLE = 'c.JupyterHub.load_roles.append({{"name": "{name}", "services": ["{name}"], "scopes": {scopes}}})'


def check_hub(connection: HubConnection) -> str:
    """Return the hub's version, where it answers and does for us what its notebook servers need.

    Raises
    ------
    ConfigurationError
        No JupyterHub is there, or one that is too old; or there is no token for it.
    PeerRefused
        The token does not count, or not for enough: with the line of ``jupyterhub_config.py`` that is missing.
    PeerNotReachable, PeerStalled, PeerFault
        There is no answer: the name leads nowhere, nobody listens, the certificate is not trusted.
    """
    with connection.calls() as calls:
        hub = connection.hub(calls, connection.token)
        version = _version(hub)
        if not connection.token:
            raise ConfigurationError(hub.title, "there is no token for it: each request needs one of its user's")
        _check_scopes(hub, ["read:users", "servers" if connection.starts_servers else "read:servers", "tokens"])
        return version


def _version(hub: Hub) -> str:
    # Without the token: who knows what answers there?
    answer = hub.calls.ask("GET", hub.address(""), peer=hub.title, headers={})
    if httpx.codes.is_server_error(answer.status) or httpx.codes.is_redirect(answer.status):
        checked(answer)
    try:
        version = str(answer.object().get("version", ""))
    except PeerFault:
        version = ""
    number = re.match(r"\d{1,9}(?=\.)", version)
    if number is None:
        reason = "no JupyterHub answers there; its address is what its users open, with its prefix and without /hub"
        raise ConfigurationError(hub.title, reason)
    if int(number[0]) < OLDEST:
        reason = f"it is JupyterHub {version[:20]}, and {OLDEST}.0 or a later one is needed"
        raise ConfigurationError(hub.title, reason)
    return version


def _check_scopes(hub: Hub, needed: list[str]) -> None:
    answer = hub.ask("GET", "user")
    if answer.status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        reason = "it does not know our token: a service in its jupyterhub_config.py has that as its api_token"
        raise PeerRefused(hub.title, reason)
    whoami = checked(answer).object()
    said = whoami.get("scopes")
    scopes = {str(scope).partition("!")[0] for scope in said} if isinstance(said, list) else set()
    missing = [scope for scope in needed if scope not in scopes]
    if missing:
        quoted = ", ".join(f'"{scope}"' for scope in needed)
        line = ROLE.format(name=whoami.get("name"), scopes=f"[{quoted}]")
        reason = f"our token has not the scope {' and '.join(missing)}; in its jupyterhub_config.py: {line}"
        raise PeerRefused(hub.title, reason)
