"""Blocks of other servers that the site's settings write, beside what an operator fills in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel, Field, SecretStr

from blocks.connections import connection
from stager.errors import ConfigurationError


class Seeded(BaseModel):
    """A block that the settings write."""

    seeded_from: SecretStr = Field(
        SecretStr(""),  # there are secrets in it
        title="Settings",
        description="The site's settings when this block was last written by them. Leave it as it is.",
    )


B = TypeVar("B", bound=Block)


async def seed(
    kind: type[B],
    name: str,
    settings: Mapping[str, str | SecretStr | None],
    *,
    address: str,
    certificates: Path | None,
    title: str,
) -> B | None:
    """Write what the settings say of a server into its block where they have changed, and return what it says then.

    What they say nothing of stays as an operator filled it in, and is emptied where they said something before; an
    edit of the rest stays until the environment itself says something else than it said at the last seeding.

    Parameters
    ----------
    settings
        What they say of the block's fields.
    address
        The field without which they name no server.
    certificates
        The file of what goes into the field of that name.

    Returns
    -------
    Block or None
        None where they name no server. Others may be filled in all the same.

    Raises
    ------
    ConfigurationError
        The settings, or the block, say what cannot be.
    """
    await kind.aregister_type_and_schema()
    if not settings[address]:
        return None
    texts = {field: _text(value) for field, value in settings.items()} | {"certificates": _content(certificates)}
    said = {field: value for field, value in texts.items() if value}
    now = json.dumps(said)
    data = await _data(kind, name)
    before = data.get("seeded_from")
    if before == now:
        return connection(kind, name, data, title=title)
    emptied = dict.fromkeys(_fields_of(before), "")
    block = connection(kind, name, {**data, **emptied, **said, "seeded_from": now}, title=title)
    await block.asave(name, overwrite=True)
    return block


def _text(value: str | SecretStr | None) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value or ""


def _content(file: Path | None) -> str:
    try:
        return file.read_text() if file else ""
    except (OSError, ValueError) as error:
        raise ConfigurationError(str(file), str(error)) from error


def _fields_of(seed: str | None) -> list[str]:
    """Return what the settings said something of; nothing where somebody wrote over it."""
    with suppress(ValueError, TypeError):
        return [*json.loads(seed or "{}")]
    return []


async def _data(kind: type[Block], name: str) -> dict[str, str]:
    """Return what Prefect has of a block, with its secrets; nothing where it has none."""
    async with get_client() as prefect:
        try:
            document = await prefect.read_block_document_by_name(name, kind.get_block_type_slug())
        except ObjectNotFound:
            return {}
    return dict(document.data)
