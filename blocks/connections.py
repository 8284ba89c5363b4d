"""How other servers are reached, by name: edited as Prefect blocks, found here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import httpx
from prefect.blocks.core import Block
from prefect.context import SyncClientContext
from prefect.exceptions import ObjectNotFound, PrefectException
from pydantic import ValidationError

from stager.errors import ConfigurationError, PrefectUnavailable

B = TypeVar("B", bound=Block)


def resolve_connection(kind: type[B], name: str, *, title: str) -> B:
    """Return the block of a kind and name, as the operator has it in Prefect's pages.

    Parameters
    ----------
    title
        What it is called in messages, beside its name.

    Raises
    ------
    ConfigurationError
        There is no such block, or it says what cannot be.
    PrefectUnavailable
        Prefect does not answer.
    """
    try:
        with SyncClientContext.get_or_create() as prefect:
            document = prefect.client.read_block_document_by_name(name, kind.get_block_type_slug())
    except ObjectNotFound as error:
        reason = f"Prefect has no block {kind.__name__} of that name"
        raise ConfigurationError(_named(title, name), reason) from error
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        raise PrefectUnavailable(str(error) or type(error).__name__) from error
    return connection(kind, name, document.data, title=title)


def connection(kind: type[B], name: str, data: Mapping[str, Any], *, title: str) -> B:
    """Return a block as its data say; raise `ConfigurationError`, with what is wrong and no secret, if they cannot."""
    try:
        return kind.model_validate(dict(data))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ConfigurationError(_named(title, name), wrong) from None


def _named(title: str, name: str) -> str:
    return f"{title} {name!r}"
