"""A process whose children remove what was delivered and are killed, each at a later call, until one is not."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path

from stager import engine
from tests.engine.conftest import Areas, finish, nothing

COUNTED = {"open", "os.listdir", "os.chmod", "os.remove", "os.rmdir"}


def is_killed_removing(areas: Areas, fingerprint: str, *, at: int) -> bool:
    left = [at]

    def count(event: str, _: object) -> None:
        if event in COUNTED:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        try:
            sys.addaudithook(count)
            engine.remove_delivered(areas.to("product"), fingerprint=fingerprint, confirm=nothing)
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended not in (0, -signal.SIGKILL):
        sys.exit(f"the removal ended with {ended}")
    return ended == -signal.SIGKILL


def main(areas: Areas) -> None:
    """Print whether the product was there each time that somebody was killed and a sweep had been."""
    whole: list[str] = []
    fingerprint, at, goes_on = "", 0, True
    while goes_on:
        at += 1
        if not areas.leftovers():
            fingerprint = finish(areas.bring("product", "product")).fingerprint
            whole = areas.leftovers()
        goes_on = is_killed_removing(areas, fingerprint, at=at)
        engine.sweep(areas.to("product").parent)
        if (left := areas.leftovers()) not in ([], whole):
            sys.exit(f"killed at call {at}, it leaves {left}")
        sys.stdout.write("there\n" if left else "gone\n")


if __name__ == "__main__":
    main(Areas(Path(sys.argv[1]), Path(sys.argv[2])))
