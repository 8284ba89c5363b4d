"""``python -m workers``: Prefect's command line with everything imported and the fork server forked.

``python -m workers worker start --pool staging --type warm`` does the same as
``prefect worker start --pool staging --type warm``. Since worker and children
share what was imported once, and no other package's worker types are loaded,
it needs some 100 MiB less.
"""

from __future__ import annotations

import signal

import workers.preloaded  # noqa: F401 - shared by the worker and all children
from workers.fork_server import fork_the_fork_server
from workers.password_check import check_password
from workers.prefect_internals import load_no_other_collection


def main() -> None:
    """Fork the fork server while there is one thread only, then run Prefect's command line."""
    # Prefect turns SIGTERM into SIGINT, which a shell's background job ignores.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    load_no_other_collection()
    fork_the_fork_server()
    check_password()
    from prefect.cli import app  # noqa: PLC0415 - what only the worker needs

    app()


if __name__ == "__main__":
    main()
