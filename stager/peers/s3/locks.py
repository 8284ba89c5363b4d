"""What keeps an object from being replaced or deleted, in a bucket that has object lock."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from stager.peers.s3.bucket import Bucket

RetentionMode = Literal["GOVERNANCE", "COMPLIANCE"]


def retain(
    bucket: Bucket, key: str, until: datetime, *, mode: RetentionMode = "GOVERNANCE", version_id: str | None = None
) -> None:
    """Have a version of an object kept until a moment; raises as `Bucket`.

    Parameters
    ----------
    mode
        Whoever has the right to may end GOVERNANCE; nobody ends COMPLIANCE.
    """
    retention = {"Mode": mode, "RetainUntilDate": until}
    bucket.ask_again("put_object_retention", key, Retention=retention, VersionId=version_id)
