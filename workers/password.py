"""Whether Prefect takes our password: said in a sentence before anything else fails for it."""

from __future__ import annotations

import sys

import httpx

from stager.settings import get_settings

WRONG = (
    "{api} refuses the password: let PREFECT_API_AUTH_STRING be what its server has in PREFECT_SERVER_API_AUTH_STRING"
)


def check_password() -> None:
    """Return when Prefect takes our password, or says nothing yet.

    Raises
    ------
    SystemExit
        It refuses it.
    """
    settings = get_settings()
    try:
        answer = httpx.get(f"{settings.prefect_api_url}/version", auth=settings.prefect_auth, timeout=10)
    except httpx.HTTPError:
        return
    if answer.status_code == httpx.codes.UNAUTHORIZED:
        sys.exit(WRONG.format(api=settings.prefect_api_url))
