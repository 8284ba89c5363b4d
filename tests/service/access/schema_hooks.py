"""What Schemathesis cannot write by itself: JSON Lines."""

from __future__ import annotations

import json
from typing import Any

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def json_lines(_: schemathesis.SerializationContext, value: Any) -> Any:
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
