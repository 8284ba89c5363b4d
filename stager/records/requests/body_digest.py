"""The digest of a request's terms and items: two requests with one idempotency key are the same if theirs is."""

from __future__ import annotations

import hashlib
import json

from stager.models import Frozen, StagingItem, StagingRequest, StagingTerms

# What versions before do not know: absent, it leaves the digest as theirs is.
_NEW = ("pool", "expand", "verify")


class BodyDigest:
    """Takes a request's items one by one, so that a million of them are never held at once."""

    def __init__(self, terms: StagingTerms) -> None:
        self._hash = hashlib.sha256()
        self._add(terms)

    def add(self, item: StagingItem) -> None:
        """Add the next item."""
        self._add(item)

    def __str__(self) -> str:
        """Return the digest of what was added so far, as 64 hexadecimal digits."""
        return self._hash.hexdigest()

    def _add(self, part: Frozen) -> None:
        # Not pydantic's own JSON, which refuses lone surrogates.
        said = part.model_dump(exclude={"items"})
        facts = {name: value for name, value in said.items() if value is not None or name not in _NEW}
        self._hash.update(json.dumps(facts, sort_keys=True, default=str).encode() + b"\n")


def digest_of(request: StagingRequest) -> str:
    """Return the digest of a whole request."""
    digest = BodyDigest(request)
    for item in request.items:
        digest.add(item)
    return str(digest)
