"""What Schemathesis cannot write by itself: JSON Lines."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def json_lines(_: schemathesis.SerializationContext, value: Any) -> Any:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.hook
def before_load_schema(_: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Let a body that may be left out be null, too: FastAPI takes it for none, which no client need know."""
    for verbs in raw_schema["paths"].values():
        for call in verbs.values():
            body = call.get("requestBody", {"required": True})
            for said in body["content"].values() if not body.get("required") else ():
                said["schema"] = {"anyOf": [said["schema"], {"type": "null"}]}
