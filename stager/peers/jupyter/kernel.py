"""What the contents API cannot do, by a kernel of the notebook server: make files read-only, and remove such."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from websockets.exceptions import InvalidURI, WebSocketException
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from stager.errors import PeerError
from stager.peers.answers import MAX_WORDS, checked
from stager.peers.jupyter.contents import Contents

# A kernel is used for seconds, and proxies cut a websocket that is quiet.
KERNEL_SECONDS = 60.0
MAX_MESSAGE_BYTES = 1 << 20
_VERSION = "5.3"
_KERNEL_ID = re.compile(r"[\w-]+", re.ASCII)
# Links are not followed, and what is in a directory is sealed before the directory is.
_CODE = """
def _staging_seal(top, file_mode, directory_mode):
    import os
    def seal(path, mode):
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            os.fchmod(opened, mode)
        finally:
            os.close(opened)
    if not os.path.isdir(top):
        return seal(top, file_mode)
    for folder, _, files in os.walk(top, topdown=False):
        for name in files:
            seal(os.path.join(folder, name), file_mode)
        seal(folder, directory_mode)

def _staging_remove(top):
    import os, shutil
    if os.path.islink(top) or not os.path.isdir(top):
        return os.unlink(top)
    os.chmod(top, 0o700)
    for folder, folders, _ in os.walk(top):
        for name in folders:
            if not os.path.islink(os.path.join(folder, name)):
                os.chmod(os.path.join(folder, name), 0o700)
    shutil.rmtree(top)
"""


def seal(contents: Contents, path: str, *, file_mode: int = 0o444, directory_mode: int = 0o555) -> str | None:
    """Make a file, or a directory with all that is in it, read-only, and return why not where that did not work.

    It is read-only once the server itself says that it cannot be written.

    Parameters
    ----------
    path
        As the contents API has it: kernels begin in the same folder.
    file_mode, directory_mode
        Permission bits.
    """
    try:
        value_of(contents, f"_staging_seal({path!r}, {file_mode}, {directory_mode})")
        entry = contents.look(path)
    except NotDone as reason:
        return str(reason)
    except PeerError as error:
        return error.message
    if entry is None or entry.is_writable:
        return "its mode was set, and the notebook server can still write it"
    return None


def remove_by_kernel(contents: Contents, path: str) -> str | None:
    """Remove a file, or a directory with all that is in it, also what is read-only or not shown; return why not."""
    try:
        value_of(contents, f"_staging_remove({path!r})")
    except NotDone as reason:
        return str(reason)
    except PeerError as error:
        return error.message
    return None


def value_of(contents: Contents, expression: str) -> str:
    """Return the value of an expression in a kernel, as Python writes it; raise `NotDone` where there is none."""
    with _kernel(contents) as kernel_id:
        return _run(contents, kernel_id, expression)


class NotDone(Exception):
    """Why it was not done, in words."""


@contextmanager
def _kernel(contents: Contents) -> Iterator[str]:
    kernel_id = _ask(contents, "POST", "kernels", {"name": _python_of(contents), "path": ""}).get("id")
    if not isinstance(kernel_id, str) or not _KERNEL_ID.fullmatch(kernel_id):
        reason = "the notebook server names its kernel in a way that is not known"
        raise NotDone(reason)
    try:
        yield kernel_id
    finally:
        with suppress(PeerError):  # else the server culls it
            _ask(contents, "DELETE", f"kernels/{kernel_id}")


def _python_of(contents: Contents) -> str:
    """Return the name of a kernel that speaks Python, the server's own choice before others."""
    said = _ask(contents, "GET", "kernelspecs")
    specs = said.get("kernelspecs")
    named = specs if isinstance(specs, dict) else {}
    for name in sorted(named, key=lambda name: name != said.get("default")):
        with suppress(KeyError, TypeError, AttributeError):
            if named[name]["spec"]["language"].lower() == "python":
                return str(name)
    reason = "the notebook server has no Python kernel"
    raise NotDone(reason)


def _ask(contents: Contents, verb: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    url = f"{contents.url}api/{path}"
    answer = checked(contents.calls.ask(verb, url, peer=contents.title, headers=contents.headers, body=body))
    return {} if answer.status == httpx.codes.NO_CONTENT else answer.object()


def _run(contents: Contents, kernel_id: str, expression: str) -> str:
    """Evaluate an expression in a kernel, and return its value as text."""
    url = httpx.URL(f"{contents.url}api/kernels/{kernel_id}/channels")
    is_secure = url.scheme == "https"
    try:
        with connect(
            str(url.copy_with(scheme="wss" if is_secure else "ws")),
            additional_headers=contents.headers,
            ssl=contents.calls.trust if is_secure else None,
            max_size=MAX_MESSAGE_BYTES,
            proxy=None,
        ) as websocket:
            reply = _reply(websocket, _execute_request(expression))
    except (WebSocketException, InvalidURI, OSError) as error:  # TimeoutError too
        reason = f"its kernel does not answer: {str(error) or type(error).__name__}"
        raise NotDone(reason) from error
    result = _object(_object(reply.get("user_expressions")).get("done"))
    if reply.get("status") != "ok" or result.get("status") != "ok":
        said = result.get("evalue") or reply.get("evalue")
        what = said[:MAX_WORDS] if isinstance(said, str) else "no reason is given"
        reason = f"its kernel could not do it: {what}"
        raise NotDone(reason)
    return str(_object(result.get("data")).get("text/plain"))


def _object(said: object) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}


def _execute_request(expression: str) -> dict[str, Any]:
    """Return a message that asks for the code to be run and for the expression's value.

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
        "code": _CODE,
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


def _reply(websocket: Connection, request: dict[str, Any]) -> dict[str, Any]:
    """Return what the kernel answers to a request; what it says beside that is left aside."""
    deadline = time.monotonic() + KERNEL_SECONDS
    websocket.send(json.dumps(request))
    while (left := deadline - time.monotonic()) > 0:
        said = websocket.recv(timeout=left)
        with suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):  # no message of this kind
            message = json.loads(said)
            is_reply = message["header"]["msg_type"] == "execute_reply"
            if is_reply and message["parent_header"]["msg_id"] == request["header"]["msg_id"]:
                return dict(message["content"])
    reason = f"it says much for {KERNEL_SECONDS:g} s, and nothing of what it was asked"
    raise TimeoutError(reason)
