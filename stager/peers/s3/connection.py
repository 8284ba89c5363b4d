"""How a bucket is reached: all that its operator says of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from stager.errors import ConfigurationError, KeyNotTaken
from stager.peers.certificates import trusting
from stager.peers.s3.names import check_key

if TYPE_CHECKING:
    from stager.peers.s3.bucket import Bucket

_USERNAME = "{username}"
# RGW's names may begin with a tenant; none of these can stand for anything else in an address.
_BUCKET = re.compile(r"(?:[A-Za-z0-9_$.-]+:)?[A-Za-z0-9._-]{3,255}", re.ASCII)


class StoreConnection(BaseModel):
    """A bucket of an object store, into which data are brought."""

    model_config = ConfigDict(hide_input_in_errors=True)

    endpoint: str = Field(
        title="Endpoint",
        description="The object store's address: https://s3.example.org.",
    )
    region: str = Field(
        "us-east-1",
        min_length=1,
        title="Region",
        description="Of the store; Ceph takes any, or its zone group's.",
    )
    addressing: Literal["path", "virtual"] = Field(
        "path",
        title="Addressing",
        description="Whether the bucket stands in the path of addresses (https://s3.example.org/bucket), or is "
        "virtual, in the name of the host (https://bucket.s3.example.org).",
    )
    bucket: str = Field(
        title="Bucket",
        description="It has to exist; with Ceph, tenant:bucket is possible.",
    )
    prefix: str = Field(
        "",
        title="Prefix",
        description="What keys begin with, such as data/{username}; where empty, with the paths of requests.",
    )
    access_key: str = Field("", title="Access key", description="Of an account that may write into the bucket.")
    secret_key: SecretStr = Field(SecretStr(""), title="Secret key", description="That belongs to the access key.")
    session_token: SecretStr = Field(
        SecretStr(""),
        title="Session token",
        description="Where the keys are temporary ones (STS).",
    )
    certificates: str = Field(
        "",
        title="Certificates",
        description="Of the authorities that the store's certificate may be from, as PEM; "
        "where empty, the usual authorities count.",
    )
    files_at_once: int = Field(
        32,
        ge=1,
        le=256,
        title="Files at once",
        description="How many small files are brought there at a time by one flow run.",
    )
    parts_at_once: int = Field(
        4,
        ge=1,
        le=64,
        title="Parts at once",
        description="How many parts of large files are brought there at a time by one flow run.",
    )
    stall_seconds: float = Field(
        300.0,
        gt=0,
        title="Longest silence",
        description="For how long the store may be silent before a call is given up, in seconds. "
        "Putting the parts of a large file together may take it minutes.",
    )

    @field_validator("endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str) -> str:
        parts = urlsplit(endpoint)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
            reason = "it is no address such as https://s3.example.org"
            raise ValueError(reason)
        if parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None:
            reason = "only a host and a port belong there; bucket, prefix and keys have fields of their own"
            raise ValueError(reason)
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("bucket")
    @classmethod
    def _check_bucket(cls, bucket: str) -> str:
        if not _BUCKET.fullmatch(bucket):
            reason = "it is no name of a bucket"
            raise ValueError(reason)
        return bucket

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        prefix = prefix.strip("/")
        try:
            if prefix:
                check_key(prefix)
        except KeyNotTaken as error:
            raise ValueError(error.message) from None
        return prefix

    @field_validator("certificates")
    @classmethod
    def _check_certificates(cls, certificates: str) -> str:
        if certificates:
            trusting(certificates)
        return certificates

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return f"The bucket {self.bucket} at {self.endpoint}"

    def prefix_of(self, account: str) -> str:
        """Return what the keys of a user's files begin with; it is empty where that is nothing."""
        return self.prefix.replace(_USERNAME, account)

    @contextmanager
    def opened(
        self, account: str = "", *, access_key: str = "", secret_key: SecretStr | None = None
    ) -> Iterator[Bucket]:
        """Give the bucket, to ask it; threads may share it.

        Parameters
        ----------
        account
            Whose files it is asked about: what the store is able to do is tried below their prefix.
        access_key, secret_key
            A user's own, which are used in the service's stead.

        Raises
        ------
        ConfigurationError
            There are no keys, or one of a user's own without the other.
        """
        from stager.peers.s3.bucket import Bucket  # noqa: PLC0415 - boto3 is for those alone who ask a bucket

        has_own = bool(access_key) or secret_key is not None
        access, secret = (access_key, secret_key) if has_own else (self.access_key, self.secret_key)
        if not access or not secret:
            raise ConfigurationError(self.title, "there is no access key with its secret key for it")
        prefix = self.prefix_of(account) if account else self.prefix.partition(_USERNAME)[0].rpartition("/")[0]
        with Bucket.opened(
            self,
            access_key=access,
            secret_key=secret,
            session_token=None if has_own else self.session_token,
            prefix=prefix if account or _USERNAME in self.prefix else self.prefix,
        ) as bucket:
            yield bucket
