"""The client that asks an object store: nothing of it is set by the machine's environment or files."""

from __future__ import annotations

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.configprovider import BOTOCORE_DEFAUT_SESSION_VARIABLES
from botocore.handlers import validate_bucket_name
from pydantic import SecretStr

from stager.peers.certificates import as_pem
from stager.peers.http import CONNECT_SECONDS
from stager.peers.s3.connection import StoreConnection
from stager.peers.s3.front import Front

# Connections beside those that files and parts need: for what a run's other threads ask.
SPARE_CONNECTIONS = 4


@contextmanager
def client_for(
    connection: StoreConnection, *, access_key: str, secret_key: SecretStr, session_token: SecretStr | None
) -> Iterator[Any]:
    """Give a client of boto3's, which threads may share; each process makes its own.

    It asks the endpoint directly, tries nothing twice and takes no checksums of its own: over TLS
    those would be sent behind the content, which Ceph refuses and other stores keep as content.
    """
    with ExitStack() as closed:
        made = boto3.session.Session(botocore_session=_session()).client(
            "s3",
            endpoint_url=connection.endpoint,
            region_name=connection.region,
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key.get_secret_value(),
            aws_session_token=session_token.get_secret_value() or None if session_token else None,
            verify=closed.enter_context(_trusted(connection.certificates)),
            config=_configuration(connection),
        )
        closed.callback(made.close)
        # A bucket of another tenant has a colon in its name (Ceph), and keys have been looked at by us.
        made.meta.events.unregister("before-parameter-build.s3", validate_bucket_name)
        # boto would follow to the region that an answer names, by calls that nobody counts.
        made.meta.events.register("before-call.s3", _follow_nowhere)
        made.meta.events.register("after-call.s3", Front().look)
        yield made


def _follow_nowhere(context: dict[str, Any], **_: object) -> None:
    """Have boto believe that it has followed already."""
    context.setdefault("s3_redirect", {})["redirected"] = True


def _configuration(connection: StoreConnection) -> Config:
    return Config(
        s3={"addressing_style": connection.addressing},
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": 1},  # `repeated` is the one that tries again
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=CONNECT_SECONDS,
        read_timeout=connection.stall_seconds,
        max_pool_connections=connection.files_at_once + connection.parts_at_once + SPARE_CONNECTIONS,
        tcp_keepalive=True,
        proxies={},
        user_agent="skao-staging-service",
    )


def _session() -> botocore.session.Session:
    """Return a session that knows the defaults alone: neither ``AWS_...`` nor ``~/.aws``."""
    defaults = {
        name: (None, None, default, converted)
        for name, (_, _, default, converted) in BOTOCORE_DEFAUT_SESSION_VARIABLES.items()
    }
    no_file = (None, None, os.devnull, None)
    return botocore.session.Session(session_vars={**defaults, "config_file": no_file, "credentials_file": no_file})


@contextmanager
def _trusted(certificates: str) -> Iterator[str | bool]:
    """Give what botocore wants to be told of whose certificates count: a file."""
    if not certificates:  # those of the system, as for other peers
        yield ssl.get_default_verify_paths().cafile or True
        return
    with tempfile.NamedTemporaryFile("w", prefix="stager-", suffix=".pem") as file:
        file.write(as_pem(certificates))
        file.flush()
        yield file.name
