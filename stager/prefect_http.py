"""Calls to Prefect's API: credentials, trusted certificates, and CSRF tokens."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Generator
from uuid import uuid4

import httpx

from stager.errors import ConfigurationError
from stager.settings import Settings


class PrefectAuth(httpx.Auth):
    """Adds the credentials to each call, and a CSRF token if the server asks for one.

    A token is fetched when a call is refused for want of one, and serves until
    it is refused: a server without CSRF protection is never asked for any.

    Notes
    -----
    Prefect 3.8.8, ``prefect.client.orchestration.PrefectClient`` for what counts
    (a password more than a key, a header that the operator sets more than both)
    and ``prefect.server.api.middleware.CsrfMiddleware`` for the tokens.
    """

    requires_response_body = True

    def __init__(self, settings: Settings) -> None:
        given = {name: value.get_secret_value() for name, value in settings.prefect_client_custom_headers.items()}
        self._headers = _authorization(settings) | given
        self._tokens = f"{settings.prefect_api_url}/csrf-token"
        self._token: dict[str, str] = {}

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send a call, and once more with a new CSRF token if the server refuses the old one."""
        request.headers.update(self._headers | self._token)
        answer = yield request
        if answer.status_code != httpx.codes.FORBIDDEN or "CSRF token" not in answer.text:
            return
        client = str(uuid4())  # a new one each time: another token of the same client's would end this one
        told = yield httpx.Request("GET", self._tokens, params={"client": client}, headers=self._headers)
        if told.is_success:
            self._token = {"Prefect-Csrf-Client": client, "Prefect-Csrf-Token": told.json()["token"]}
            request.headers.update(self._token)
        yield request


def _authorization(settings: Settings) -> dict[str, str]:
    if password := settings.prefect_api_auth_string:
        return {"Authorization": f"Basic {b64encode(password.get_secret_value().encode()).decode()}"}
    if key := settings.prefect_api_key:
        return {"Authorization": f"Bearer {key.get_secret_value()}"}
    return {}


def prefect_trust(settings: Settings) -> ssl.SSLContext:
    """Return which certificates are accepted as Prefect's.

    Raises
    ------
    ConfigurationError
        The file of the site's own authority cannot be read, or is none.
    """
    if settings.prefect_api_tls_insecure_skip_verify:
        return httpx.create_ssl_context(verify=False)
    file = settings.prefect_api_ssl_cert_file
    if file is None:
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:  # ssl.SSLError too
        raise ConfigurationError(file, f"PREFECT_API_SSL_CERT_FILE is not a file of certificates: {error}") from error
