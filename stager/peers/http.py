"""How another server is called: without redirects and cookies, within bounds, and with what went wrong in words."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Self

import httpx

from stager.errors import PeerFault, PeerNotReachable, PeerStalled
from stager.peers.connections import AnswerWithoutEndError, Transport

CONNECT_SECONDS = 10.0
# For how long neither side sends a byte before a call is given up.
STALL_SECONDS = 30.0
# Less than servers keep an unused connection (Node.js: 5 s): else one may close just when it is used again.
KEEPALIVE_SECONDS = 2.0
# The length of an answer that is taken as a whole.
MAX_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True)
class Answer:
    """What a server has answered, whole."""

    peer: str
    status: int
    headers: httpx.Headers
    content: bytes

    @property
    def media_type(self) -> str:
        """``application/json``, without parameters."""
        return str(self.headers.get("Content-Type", "")).partition(";")[0].strip().lower()

    @property
    def is_json(self) -> bool:
        """Whether it says that it is JSON."""
        return self.media_type == "application/json"

    @property
    def is_success(self) -> bool:
        """Whether its status is one of 200 to 299."""
        return httpx.codes.is_success(self.status)

    def json(self) -> Any:  # noqa: ANN401 - JSON
        """Return what it says.

        Raises
        ------
        PeerFault
            It is no JSON, or not all of it.
        """
        if not self.is_json:
            reason = f"it answers {self.status} with {self.media_type or 'nothing'} instead of JSON"
            raise PeerFault(self.peer, reason)
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError) as error:
            reason = f"its answer ({self.status}) is JSON that cannot be read: {error}"
            raise PeerFault(self.peer, reason) from error

    def object(self) -> dict[str, Any]:
        """Return the JSON object that it says.

        Raises
        ------
        PeerFault
            It is none.
        """
        said = self.json()
        if not isinstance(said, dict):
            raise PeerFault(self.peer, f"its answer ({self.status}) is no JSON object")
        return said

    @property
    def retry_after(self) -> float | None:
        """Seconds after which it wants to be asked again (RFC 9110, section 10.2.3)."""
        return seconds_said(self.headers)


class Calls:
    """Calls servers over one pool of connections; threads may share it.

    Parameters
    ----------
    stall_seconds
        For how long neither side may send a byte.
    trust
        Whose certificates count; those that the system trusts by default, with a site's own that are installed there.
    """

    def __init__(self, *, stall_seconds: float = STALL_SECONDS, trust: ssl.SSLContext | None = None) -> None:
        self.stall_seconds = stall_seconds
        self.trust = trust or ssl.create_default_context()
        self._client = httpx.Client(
            transport=Transport(self.trust, keepalive_seconds=KEEPALIVE_SECONDS),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={
                "User-Agent": "skao-staging-service",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(
        self,
        verb: str,
        url: str,
        *,
        peer: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None = None,
        content: Iterable[bytes] | None = None,
        stall_seconds: float | None = None,
    ) -> Answer:
        """Return a server's answer, whatever its status.

        Parameters
        ----------
        peer
            What the server is called in messages.
        headers
            With its token, and with Content-Type and Content-Length where there is ``content``.
        body
            Sent as JSON.
        content
            A body that is made on the way.
        stall_seconds
            For this call, where the server may be silent for longer.

        Raises
        ------
        PeerNotReachable, PeerStalled, PeerFault
            There is none.
        """
        sent: bytes | Iterable[bytes] | None = content
        if body is not None:
            sent, headers = json.dumps(body).encode(), {**headers, "Content-Type": "application/json"}
        with self.stream(verb, url, peer=peer, headers=headers, content=sent, stall_seconds=stall_seconds) as answer:
            return whole(answer, peer)

    @contextmanager
    def stream(
        self,
        verb: str,
        url: str,
        *,
        peer: str,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes] | None = None,
        stall_seconds: float | None = None,
        within_seconds: float | None = None,
    ) -> Iterator[httpx.Response]:
        """Give a server's answer as it comes, for so long at most; what is raised is what `ask` raises."""
        quiet = stall_seconds or self.stall_seconds
        timeout = httpx.Timeout(quiet, connect=CONNECT_SECONDS, pool=None)
        with (
            in_words(peer, quiet),
            self._client.stream(verb, url, headers=dict(headers), content=content, timeout=timeout) as answer,
        ):
            if answer.headers.get("Content-Encoding", "identity").lower() != "identity":  # few bytes may be many
                raise PeerFault(peer, "its answer is compressed, which was not asked for")
            if within_seconds is not None:
                answer.extensions["network_stream"].answers_until = time.monotonic() + within_seconds
            yield answer


def whole(answer: httpx.Response, peer: str) -> Answer:
    """Return an answer once it has come to its end.

    Raises
    ------
    PeerFault
        It is longer than it may be.
    """
    content = bytearray()
    for piece in answer.iter_raw():
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            raise PeerFault(peer, f"it answers with more than {MAX_ANSWER_BYTES} bytes")
    return Answer(peer, answer.status_code, answer.headers, bytes(content))


def seconds_said(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds headers want one to wait, by ``Retry-After``; None where they do not say it."""
    said = next((value.strip() for name, value in headers.items() if name.lower() == "retry-after"), "")
    if said.isdecimal() and len(said) < 10:  # noqa: PLR2004 - more than any of us lives
        return float(said)
    try:
        until = parsedate_to_datetime(said)
        return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):  # no date, or one that our calendar does not have
        return None


@contextmanager
def in_words(peer: str, stall_seconds: float) -> Iterator[None]:
    """Raise what goes wrong between us and a server as an error of ours."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise PeerNotReachable(peer, why(error)) from error
    except httpx.TimeoutException as error:
        raise PeerStalled(peer, f"not a byte passed for {stall_seconds:.0f} s") from error
    except AnswerWithoutEndError as error:
        raise PeerStalled(peer, "its answer does not come to an end") from error
    except httpx.TransportError as error:
        raise PeerFault(peer, f"the connection broke: {why(error)}") from error
    except httpx.InvalidURL as error:
        raise PeerFault(peer, str(error)) from error


def why(error: BaseException) -> str:
    """Return in words why a connection was not made, or broke, by what is beneath an error."""
    cause: BaseException | None = error
    while cause is not None:
        cause = cause.__cause__ or cause.__context__
        match cause:
            case ssl.SSLCertVerificationError():
                return f"its certificate is not trusted: {cause.verify_message}"
            case ssl.SSLError():
                return f"no TLS is spoken there, or none that we speak: {cause.reason}"
            case socket.gaierror():
                return "its name leads to no address"
            case ConnectionRefusedError():
                return "nobody listens there"
            case TimeoutError():
                return f"it does not take a connection within {CONNECT_SECONDS:g} s"
    return str(error) or type(error).__name__
