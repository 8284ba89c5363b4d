"""What gfal2's own client does, called as its Python module is: run by the system's Python, which has it.

``gfal_client.py CALL`` reads the call's arguments as JSON from its input, and
writes what came back as JSON.
"""

import json
import sys
from typing import Any

import gfal2


def _told(errors: list[Any]) -> list[Any]:
    return [None if error is None else {"code": error.code, "message": error.message} for error in errors]


def bring_online(context: Any, *, urls: list[str], metadata: list[str], pin: int) -> Any:
    errors, token = context.bring_online(urls, metadata, pin, 60, True)  # noqa: FBT003 - gfal2 takes no names
    return {"errors": _told(errors), "token": token}


def poll(context: Any, *, urls: list[str], token: str) -> Any:
    return _told(context.bring_online_poll(urls, token))


def abort(context: Any, *, urls: list[str], token: str) -> Any:
    return _told(context.abort_bring_online(urls, token))


def release(context: Any, *, urls: list[str], token: str) -> Any:
    return _told(context.release(urls, token))


def archive_poll(context: Any, *, urls: list[str]) -> Any:
    return _told(context.archive_poll(urls))


def attribute(context: Any, *, url: str, name: str) -> Any:
    return context.getxattr(url, name)


CALLS = {call.__name__: call for call in (bring_online, poll, abort, release, archive_poll, attribute)}

if __name__ == "__main__":
    answer = CALLS[sys.argv[1]](gfal2.creat_context(), **json.load(sys.stdin))
    json.dump(answer, sys.stdout)
