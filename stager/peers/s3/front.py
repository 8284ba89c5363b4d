"""Whether it is the store that says that nothing is there, or somebody before it who knows no way to it."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from stager.peers.s3.refusals import NOT_OF_STORE

_NOT_FOUND = 404
_REQUEST_ID = "x-amz-request-id"
_HEAD = "HeadObject"


class Front:
    """Looks at each answer: a store that names its requests does so always.

    An answer to HEAD has no words, so that a proxy's 404 would else be taken for the store's.
    """

    def __init__(self) -> None:
        self._names_requests = False

    def look(self, model: Any, http_response: Any, parsed: MutableMapping[str, Any], **_: object) -> None:  # noqa: ANN401 - botocore's own
        """Take an answer as boto gives it to those who listen, and mark one to HEAD that is not the store's."""
        if _REQUEST_ID in http_response.headers:
            self._names_requests = True
        elif self._names_requests and model.name == _HEAD and http_response.status_code == _NOT_FOUND:
            parsed["Error"] = {"Code": NOT_OF_STORE, "Message": "somebody before the store knows no way to it"}
