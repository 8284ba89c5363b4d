"""Whose certificates count, where an operator says it."""

from __future__ import annotations

import re
import ssl
from base64 import b64decode

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def trusting(certificates: str) -> ssl.SSLContext:
    """Return whom to trust by these certificates alone, whose lines may have been lost in a form's field.

    Raises
    ------
    ValueError
        There is none, or one that cannot be read.
    """
    try:
        return ssl.create_default_context(cadata=b"".join(_decoded(certificates)))
    except (ssl.SSLError, ValueError) as error:
        reason = f"a certificate in it cannot be read: {error}"
        raise ValueError(reason) from error


def as_pem(certificates: str) -> str:
    """Return the same certificates, with the lines that a file of them has."""
    return "".join(map(ssl.DER_cert_to_PEM_cert, _decoded(certificates)))


def _decoded(certificates: str) -> list[bytes]:
    found = _CERTIFICATE.findall(certificates)
    if not found:  # without any, all that is usual would be trusted
        reason = "there is no certificate in it (-----BEGIN CERTIFICATE-----)"
        raise ValueError(reason)
    return [b64decode("".join(one.split()), validate=True) for one in found]
