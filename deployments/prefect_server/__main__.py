"""Serve Prefect's API and pages where its settings say, as ``prefect server start`` does, but behind a lock.

A password is asked for (``PREFECT_SERVER_API_AUTH_STRING``), other sites'
pages are refused (`gate`), and SQLite's transactions wait for one another
(`immediate_sqlite`). Whoever gets at Prefect's API can have its workers run
any command.
"""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import uvicorn
from prefect.server.api.server import create_app
from prefect.server.database.dependencies import MODELS_DEPENDENCIES
from prefect.settings import (
    PREFECT_SERVER_CORS_ALLOWED_ORIGINS,
    Settings,
    get_current_settings,
    temporary_settings,
)
from sqlalchemy import make_url

from deployments.prefect_server.gate import Gate
from deployments.prefect_server.immediate_sqlite import ImmediateSqlite
from stager.log_records import log_one_line_a_record
from stager.settings import get_settings

UNLOCKED = (
    "Prefect's server does not start without a password: whoever reaches it runs commands as its workers' account. "
    "Set PREFECT_SERVER_API_AUTH_STRING=USER:PASSWORD, and PREFECT_API_AUTH_STRING alike where Prefect is asked."
)


def main() -> None:
    """Serve until a signal arrives."""
    log_one_line_a_record()
    with temporary_settings({PREFECT_SERVER_CORS_ALLOWED_ORIGINS: ""}):
        _serve(get_current_settings())


def _serve(settings: Settings) -> None:
    server = settings.server
    if server.api.auth_string is None or not server.api.auth_string.get_secret_value():
        sys.exit(UNLOCKED)
    _take_turns(settings)
    uvicorn.run(
        Gate(create_app(final=True), _hosts(settings)),
        host=server.api.host,
        port=server.api.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        timeout_graceful_shutdown=2,
        log_level=server.logging_level.lower(),
    )


def _take_turns(settings: Settings) -> None:
    """Replace Prefect's configuration of SQLite by ours in ``MODELS_DEPENDENCIES``, as Prefect's tests do."""
    url = settings.server.database.connection_url
    if url is not None and make_url(url.get_secret_value()).get_backend_name() == "sqlite":
        MODELS_DEPENDENCIES["database_config"] = ImmediateSqlite(connection_url=url.get_secret_value())


def _hosts(settings: Settings) -> set[str]:
    """Return the host names of the server: those of its addresses in Prefect's settings, and the site's."""
    addresses = (settings.api.url, settings.ui_url, settings.server.ui.api_url, f"//{settings.server.api.host}")
    names = {urlsplit(address).hostname for address in addresses if address}
    return {name for name in names if name} - {"0.0.0.0", "::"} | set(get_settings().prefect_hosts)  # noqa: S104


if __name__ == "__main__":
    main()
