"""Settings as a table, from the fields of the classes that read the environment."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import AliasChoices, SecretStr
from pydantic_settings import BaseSettings

CHECKOUT = Path(__file__).parents[3]
TABLE = "| variable | default | meaning |\n|---|---|---|\n"


def settings_table(settings: type[BaseSettings]) -> str:
    """Return a table: a row for each variable, in the order of the fields."""
    fields = settings.model_fields
    rows = (
        f"| `{variable(settings, name)}` | {_in_words(name, field.default)} | {field.description} |\n"
        for name, field in fields.items()
    )
    return TABLE + "".join(rows)


def variable(settings: type[BaseSettings], name: str) -> str:
    """Return the environment variable of a field."""
    alias = settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"STAGER_{name.upper()}"


def _in_words(name: str, default: object) -> str:
    """Return a default as an operator would write it."""
    match default:
        case None:
            return "none"
        case SecretStr():
            return f"`{default.get_secret_value()}`"
        case tuple():
            return f"`{json.dumps(default)}`"
        case int() if name.endswith("_mode"):
            return f"`{default:04o}`"
        case Path() if default.is_relative_to(CHECKOUT):
            return f"`{default.relative_to(CHECKOUT)}`"
    return f"`{default}`"
