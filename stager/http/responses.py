"""JSON that can hold any path: bytes of a name that are not UTF-8 become escaped lone surrogates."""

from __future__ import annotations

import json

from starlette.responses import JSONResponse


class EscapedJSON(JSONResponse):
    r"""JSON in ASCII, everything else as ``\uXXXX``.

    Notes
    -----
    A byte of a name that is not UTF-8 is a lone surrogate in Python (PEP 383).
    UTF-8 cannot write it, RFC 8259 section 8.2 lets an escape stand for it.
    """

    def render(self, content: object) -> bytes:
        """Return the body."""
        return json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
