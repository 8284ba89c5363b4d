"""A JupyterHub: whose notebook server runs, and a token for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any

import httpx
from pydantic import SecretStr

from stager.errors import (
    ConfigurationError,
    NotebookServerUnknown,
    NotebookUserUnknown,
    PeerError,
    PeerFault,
    PeerRefused,
)
from stager.peers.answers import checked, words_of
from stager.peers.http import Answer, Calls
from stager.peers.jupyter.names import user_in_address
from stager.peers.jupyter.server import ServerState, server_state
from stager.peers.jupyter.server_token import MadeToken, ServerToken

# How long a token for one notebook server counts: it goes with the block that it was made for, and this is for
# a process that died.
TOKEN_SECONDS = 24 * 3600
# What a token must be able to do, by whose it is.
SERVICES_NEEDS = "our token needs the scopes read:users, servers and tokens"
USERS_NEEDS = (
    "the token that came with the request must be one that the user made on the hub's page Token without naming scopes"
)


class Hub:
    """Asks a hub, with a token whose scopes are ``read:users``, ``servers`` and ``tokens``.

    Parameters
    ----------
    url
        The hub's address, without ``/hub``.
    token
        Of a service, or of the one user that is asked about. It is shown to
        the hub alone, never to a notebook server, which is its user's.
    public_url
        Its address as its users type it, if ``url`` is another one by which it is reached from here.
    needs
        What is said where the token does not do what is needed.

    Raises
    ------
    ConfigurationError
        The address is none, or has a name and a password in it, which would go in the token's stead.
    """

    def __init__(
        self,
        url: str,
        token: SecretStr,
        calls: Calls,
        *,
        public_url: str | None = None,
        needs: str = SERVICES_NEEDS,
    ) -> None:
        self.url = hub_address(url)
        self.public_url = hub_address(public_url or url)
        self.calls = calls
        self._token = token
        self._needs = needs
        self.title = f"The notebook hub {self.url}".rstrip("/")

    def look(self, username: str, name: str = "") -> ServerState:
        """Return what the hub says of a user's server.

        Raises
        ------
        NotebookUserUnknown
            It knows no such user, or does not show us that one.
        NotebookServerUnknown
            The user has made no server of that name; a start would make one.
        PeerError
            It does not answer, or not as it should.
        """
        query = "?include_stopped_servers" if name else ""
        answer = self.ask("GET", f"users/{user_in_address(username)}{query}")
        if answer.status == httpx.codes.NOT_FOUND and answer.is_json:
            raise NotebookUserUnknown(self.title, f"{username}, or does not show them: {self._needs}")
        if answer.status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise PeerRefused(self.title, f"{words_of(answer)}: {self._needs}")
        user = checked(answer).object()
        if not isinstance(user.get("servers"), dict):
            raise PeerRefused(self.title, f"it shows no servers: {self._needs}")
        if name and name not in user["servers"]:
            state = ServerState(username=username, name=name)
            raise NotebookServerUnknown(state.title, "make it there first, or name another one")
        try:
            return server_state(user, name, self.url, self.public_url)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError, httpx.InvalidURL) as error:
            raise PeerFault(self.title, f"it describes {username} in a way that is not known: {error!r}") from error

    @contextmanager
    def token_for(self, state: ServerState) -> Iterator[SecretStr]:
        """Give a token that counts at one server of one user's alone, for as long as the block takes; it goes with it.

        A notebook server is its user's, who can read what is sent to it
        (``docs/decisions/0012-a-notebook-server-is-shown-a-token-of-its-own.md``).

        Raises
        ------
        PeerRefused
            The hub makes none for us.
        PeerError
            As by `look`.
        """
        token = ServerToken(partial(self._make_token, state))
        try:
            yield token
        finally:
            for token_id in token.ids:
                with suppress(PeerError):  # else it ends by itself
                    self.ask("DELETE", f"{_tokens_of(state)}/{token_id}")

    def _make_token(self, state: ServerState) -> MadeToken:
        asked = {
            "note": "skao-staging-service: brings data to the notebook server",
            "scopes": [f"access:servers!server={state.username}/{state.name}"],
        }
        answer = self.ask("POST", _tokens_of(state), asked | {"expires_in": TOKEN_SECONDS})
        if answer.status == httpx.codes.BAD_REQUEST:  # so long is too long: then it gives the longest that it gives
            answer = self.ask("POST", _tokens_of(state), asked)
        if answer.status == httpx.codes.FORBIDDEN and answer.is_json:
            raise PeerRefused(self.title, f"it makes no tokens for {state.username}: {self._needs}")
        made = checked(answer).object()
        if not isinstance(made.get("token"), str):
            raise PeerFault(self.title, "it makes a token and does not tell it")
        return MadeToken(token_id=str(made.get("id")), token=SecretStr(made["token"]), seconds=_seconds_of(made))

    @property
    def headers(self) -> dict[str, str]:
        """Who asks."""
        return {"Authorization": f"Bearer {self._token.get_secret_value()}"}

    def ask(self, verb: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Return the hub's answer to a call of its REST API, whatever its status.

        Raises
        ------
        PeerNotReachable, PeerStalled, PeerFault
            There is none.
        """
        return self.calls.ask(verb, self.address(path), peer=self.title, headers=self.headers, body=body)

    def address(self, path: str) -> str:
        """Return the address of a call of the hub's REST API."""
        return f"{self.url}hub/api/{path}"


def _tokens_of(state: ServerState) -> str:
    return f"users/{user_in_address(state.username)}/tokens"


def _seconds_of(made: dict[str, Any]) -> float:
    """Return for how long a token counts, by the hub's clock alone."""
    with suppress(KeyError, TypeError, ValueError):
        created, ends = (datetime.fromisoformat(made[moment]) for moment in ("created", "expires_at"))
        return (ends - created).total_seconds()
    return TOKEN_SECONDS


def hub_address(url: str) -> httpx.URL:
    """Return a hub's address, with a slash at its end.

    Raises
    ------
    ConfigurationError
        It is none, or has a name and a password in it.
    """
    what = "The notebook hub's address"
    try:
        address = httpx.URL(url.rstrip("/") + "/")
    except httpx.InvalidURL:  # whose words may have a part of a password
        raise ConfigurationError(what, "it is none") from None
    if address.userinfo:
        reason = "there is a name or a password in it, and the token alone says who asks"
        raise ConfigurationError(what, reason)
    if address.scheme not in {"http", "https"} or not address.host:
        reason = "it does not begin with https:// and a host's name"
        raise ConfigurationError(what, reason)
    return address
