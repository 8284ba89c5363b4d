"""A kernel of a notebook server, for what the server's contents API cannot do."""

from __future__ import annotations

import json
import logging
import re
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.exceptions import InvalidURI, WebSocketException
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from stager.errors import PeerError
from stager.peers.answers import MAX_WORDS, checked
from stager.peers.http import Calls

# How long a kernel may take to do what it is asked, and to start before that.
KERNEL_SECONDS = 60.0
MAX_MESSAGE_BYTES = 8 << 20
# After so long without a word, it is looked whether there still is a kernel.
LOOK_SECONDS = 5.0
# How often a kernel is ended whose server fails to, once a second.
END_TRIES = 10
# It would log the token among the headers.
_WITHOUT_HEADERS = logging.getLogger(f"{__name__}.websocket")
_WITHOUT_HEADERS.setLevel(logging.INFO)
_VERSION = "5.3"
_KERNEL_ID = re.compile(r"[\w-]+", re.ASCII)
# What a server says of a kernel that has ended: what that was asked is answered no more.
_ENDS = frozenset({"restarting", "autorestarting", "dead"})
_ENDED = "it ended"


class NotDoneByKernel(Exception):
    """Raised with the reason, in words, why a kernel did not do what it was asked."""


class _KernelGone(Exception):
    """There is no way to the kernel, or none any more."""


class _KernelSilent(Exception):
    """The kernel is there, and has not answered in time."""


@dataclass(kw_only=True, eq=False)
class Kernel:
    """A kernel that speaks Python: started when it is first asked, kept, and started anew once it is gone.

    Threads may share it; it does one thing after the other.

    Parameters
    ----------
    url
        Its server's, with a slash at its end.
    title
        What the server is called in messages.
    headers
        With the token that counts there.
    """

    calls: Calls
    url: str
    title: str
    headers: Mapping[str, str]
    _ids: list[str] = field(default_factory=list)
    _websocket: Connection | None = None
    _asking: threading.Lock = field(default_factory=threading.Lock)

    def value_of(self, code: str, expression: str, *, within_seconds: float = KERNEL_SECONDS) -> str:
        """Run code, and return what an expression is after that, as Python writes it, without quotes.

        It may be done twice, where the kernel ends in the middle.

        Raises
        ------
        NotDoneByKernel
            There is no such kernel, or it did not do it.
        """
        asked = _execute_request(code, expression)
        with self._asking:
            try:
                if self._websocket is not None:
                    with suppress(_KernelGone):  # it died or was culled since, or somebody on the way hung up
                        return _value(self._reply(self._websocket, asked, within_seconds))
                    self._end()
                return _value(self._reply(self._started(), asked, within_seconds))
            except (_KernelGone, _KernelSilent) as error:
                self._end()
                reason = f"its kernel does not answer: {error}"
                raise NotDoneByKernel(reason) from error
            except PeerError as error:
                self._end()
                raise NotDoneByKernel(error.message) from error

    def close(self) -> None:
        """End it; the next question starts another."""
        with self._asking:
            self._end()
            for _ in range(END_TRIES):
                if not self._ids:
                    break
                time.sleep(1)
                self._end()

    def _started(self) -> Connection:
        kernel_id = self._ask("POST", "kernels", {"name": self._python(), "path": ""}).get("id")
        if not isinstance(kernel_id, str) or not _KERNEL_ID.fullmatch(kernel_id):
            reason = "the notebook server names its kernel in a way that is not known"
            raise NotDoneByKernel(reason)
        self._ids.append(kernel_id)
        url = httpx.URL(f"{self.url}api/kernels/{kernel_id}/channels")
        is_secure = url.scheme == "https"
        try:
            self._websocket = connect(
                str(url.copy_with(scheme="wss" if is_secure else "ws")),
                additional_headers=self.headers,
                ssl=self.calls.trust if is_secure else None,
                max_size=MAX_MESSAGE_BYTES,
                proxy=None,
                logger=_WITHOUT_HEADERS,
            )
        except (WebSocketException, InvalidURI, OSError) as error:  # TimeoutError too
            raise _KernelGone(str(error) or type(error).__name__) from error
        return self._websocket

    def _end(self) -> None:
        websocket, self._websocket = self._websocket, None
        if websocket is not None:
            websocket.close()
        self._ids = [kernel_id for kernel_id in self._ids if self._outlives_its_end(kernel_id)]

    def _outlives_its_end(self, kernel_id: str) -> bool:
        """End a kernel, and return whether its server failed to: so it does while it restarts one that died."""
        url = f"{self.url}api/kernels/{kernel_id}"
        try:
            answer = self.calls.ask("DELETE", url, peer=self.title, headers=self.headers)
        except PeerError:  # then it is culled
            return False
        return answer.status == httpx.codes.INTERNAL_SERVER_ERROR

    def _python(self) -> str:
        """Return the name of a kernel that speaks Python, the server's own choice before others."""
        said = self._ask("GET", "kernelspecs")
        specs = said.get("kernelspecs")
        named = specs if isinstance(specs, dict) else {}
        for name in sorted(named, key=lambda name: name != said.get("default")):
            with suppress(KeyError, TypeError, AttributeError):
                if named[name]["spec"]["language"].lower() == "python":
                    return str(name)
        reason = "the notebook server has no Python kernel"
        raise NotDoneByKernel(reason)

    def _ask(self, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        url = f"{self.url}api/{path}"
        return checked(self.calls.ask(verb, url, peer=self.title, headers=self.headers, body=body)).object()

    def _reply(self, websocket: Connection, request: dict[str, Any], within_seconds: float) -> dict[str, Any]:
        """Return what the kernel answers to a request; what it says beside that is left aside."""
        deadline = time.monotonic() + within_seconds
        try:
            websocket.send(json.dumps(request))
            while (left := deadline - time.monotonic()) > 0:
                reply = self._heard(websocket, request["header"]["msg_id"], min(left, LOOK_SECONDS))
                if reply is not None:
                    return reply
        except (WebSocketException, OSError) as error:
            raise _KernelGone(str(error) or type(error).__name__) from error
        reason = f"for {within_seconds:g} s it says nothing of what it was asked"
        raise _KernelSilent(reason)

    def _heard(self, websocket: Connection, asked: str, seconds: float) -> dict[str, Any] | None:
        """Return the next message's content if it is the answer to what was asked."""
        try:
            said = websocket.recv(timeout=seconds)
        except TimeoutError:
            if not self._is_there():  # of one that was culled, nothing is heard any more
                raise _KernelGone(_ENDED) from None
            return None
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):  # no message of this kind
            message = json.loads(said)
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "execute_reply" and message["parent_header"]["msg_id"] == asked:
                return dict(content)
            if kind == "status" and content["execution_state"] in _ENDS:
                raise _KernelGone(_ENDED)
        return None

    def _is_there(self) -> bool:
        url = f"{self.url}api/kernels/{self._ids[-1]}"
        return self.calls.ask("GET", url, peer=self.title, headers=self.headers).is_success


def _value(reply: dict[str, Any]) -> str:
    result = _object(_object(reply.get("user_expressions")).get("done"))
    if reply.get("status") != "ok" or result.get("status") != "ok":
        said = result.get("evalue") or reply.get("evalue")
        what = said[:MAX_WORDS] if isinstance(said, str) else "no reason is given"
        reason = f"its kernel could not do it: {what}"
        raise NotDoneByKernel(reason)
    value = _object(result.get("data")).get("text/plain")
    return value.strip("'\"") if isinstance(value, str) else ""


def _object(said: object) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}


def _execute_request(code: str, expression: str) -> dict[str, Any]:
    """Return a message that asks for code to be run and for an expression's value after that.

    Notes
    -----
    https://jupyter-client.readthedocs.io/en/stable/messaging.html#execute; without a
    subprotocol the websocket's messages are JSON, with the channel's name beside.
    """
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "execute_request",
        "session": uuid.uuid4().hex,
        "username": "",
        "version": _VERSION,
    }
    content = {
        "code": code,
        "silent": True,
        "store_history": False,
        "allow_stdin": False,
        "user_expressions": {"done": expression},
    }
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "buffers": [],
        "channel": "shell",
    }
