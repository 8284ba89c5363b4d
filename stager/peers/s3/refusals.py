"""What goes wrong between us and an object store, as errors of ours."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from stager.errors import (
    BucketFull,
    BucketUnknown,
    ClockSkewed,
    ConfigurationError,
    CorruptedInTransfer,
    DestinationBusy,
    DestinationExists,
    DestinationTampered,
    KeyNotTaken,
    NotByStore,
    PathError,
    PeerBodyLimit,
    PeerBusy,
    PeerError,
    PeerFault,
    PeerNotReachable,
    PeerRefused,
    PeerStalled,
    StagingError,
    StoreKeysExpired,
    StoreKeysRefused,
)
from stager.peers.answers import MAX_WORDS
from stager.peers.http import seconds_said, why

# What stands for an answer that is of somebody before the store.
NOT_OF_STORE = "NotOfStore"
_CANNOT_BE_ASKED = (boto.ParamValidationError, boto.EndpointProviderError, boto.UnsupportedS3ConfigurationError)
_OF_THE_PEER: Mapping[type[PeerError], set[str]] = {
    BucketUnknown: {"NoSuchBucket"},
    StoreKeysRefused: {"InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "InvalidSecurity"},
    StoreKeysExpired: {"ExpiredToken", "TokenRefreshRequired"},
    PeerFault: {NOT_OF_STORE},
    PeerBodyLimit: {"EntityTooLarge", "413"},
    PeerBusy: {"SlowDown", "ServiceUnavailable", "TooManyRequests", "Throttling", "ThrottlingException", "429", "503"},
    PeerStalled: {"RequestTimeout"},
    NotByStore: {"NotImplemented", "MethodNotAllowed", "405", "501"},
}
_OF_THE_KEY: Mapping[type[PathError], set[str]] = {
    BucketFull: {"QuotaExceeded", "InsufficientStorage", "InsufficientCapacity", "XMinioStorageFull", "507"},
    CorruptedInTransfer: {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch"},
    DestinationBusy: {"ConditionalRequestConflict", "OperationAborted"},
    DestinationExists: {"PreconditionFailed", "412"},
    DestinationTampered: {"NoSuchKey", "NoSuchVersion"},
    KeyNotTaken: {"KeyTooLongError", "InvalidURI", "InvalidObjectName", "XMinioInvalidObjectName"},
}
_BY_CODE = {code: kind for kinds in (_OF_THE_PEER, _OF_THE_KEY) for kind, codes in kinds.items() for code in codes}
_SKEWED = {"RequestTimeTooSkewed", "RequestExpired"}
_OTHER_REGION = {"PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint"}
_GONE = "NoSuchUpload"
_SERVERS_FAULT = 500
_NOT_FOUND = 404


class UploadGone(Exception):
    """Raised where the parts of an upload are not there: it was completed or aborted."""


@contextmanager
def in_words(peer: str, address: str) -> Iterator[None]:
    """Raise what boto raises as an error of ours.

    Parameters
    ----------
    peer
        What the bucket is called in messages.
    address
        Of the object or prefix that is asked about.
    """
    try:
        yield
    except boto.ClientError as error:
        raise refusal(peer, address, error.response) from error
    except _CANNOT_BE_ASKED as error:
        raise ConfigurationError(peer, f"it cannot be asked: {error}"[:MAX_WORDS]) from error
    except ResponseParserError as error:
        raise PeerFault(peer, "its answer is XML that cannot be read") from error
    except boto.BotoCoreError as error:
        raise _broken(peer, error) from error


def refusal(peer: str, address: str, answer: Mapping[str, Any]) -> StagingError | UploadGone:
    """Return the error that an answer of the store stands for."""
    code, words = str(answer.get("Error", {}).get("Code", "")), _words(answer)
    kind = _BY_CODE.get(code)
    if code == _GONE:
        return UploadGone(address)
    if code in _SKEWED:
        return ClockSkewed(peer, f"{_skew(answer)} ({code})")
    if code in _OTHER_REGION:
        return ConfigurationError(peer, f"its endpoint or region is another: {words}")
    if kind is not None and issubclass(kind, PathError):
        return kind(address, words)
    return _of_peer(kind or _kind_by_status(answer), peer, f"{words}, of {address}", answer)


def _kind_by_status(answer: Mapping[str, Any]) -> type[PeerError]:
    # An object store says what is not there; whoever says nothing but a number is none.
    is_nobody = answer.get("Error", {}).get("Code") == str(_NOT_FOUND)
    return PeerFault if _status(answer) >= _SERVERS_FAULT or is_nobody else PeerRefused


def _of_peer(kind: type[PeerError], peer: str, words: str, answer: Mapping[str, Any]) -> PeerError:
    return kind(peer, words, retry_after=seconds_said(_headers(answer)))


def is_absent(error: boto.ClientError) -> bool:
    """Tell whether an answer without a body says that nothing is there."""
    return _status(error.response) == _NOT_FOUND and error.response.get("Error", {}).get("Code") != NOT_OF_STORE


def _broken(peer: str, error: boto.BotoCoreError) -> StagingError:
    """Return what a call stands for that came to no answer, or to part of one."""
    causes = list(_causes(error.kwargs.get("error")))
    for cause in causes:
        if isinstance(cause, StagingError):  # of whoever gave the content, or wanted no more
            return cause
    if any(isinstance(cause, ssl.SSLEOFError) for cause in causes):
        return PeerFault(peer, "the connection broke")
    if isinstance(error, (boto.SSLError, boto.EndpointConnectionError, boto.ConnectTimeoutError)):
        return PeerNotReachable(peer, why(error))
    if isinstance(error, boto.ReadTimeoutError) or any(isinstance(cause, TimeoutError) for cause in causes):
        return PeerStalled(peer, "it neither takes nor sends a byte")
    return PeerFault(peer, f"the connection broke: {why(error)}"[:MAX_WORDS])


def _causes(error: object) -> Iterator[BaseException]:
    """Yield what a call has failed of: not its context, for that may be another call's end (`__context__`)."""
    if isinstance(error, BaseException):
        yield error
        for cause in (error.__cause__, *error.args):
            yield from _causes(cause)


def _headers(answer: Mapping[str, Any]) -> Mapping[str, str]:
    found: Mapping[str, str] = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return found


def _status(answer: Mapping[str, Any]) -> int:
    return int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _words(answer: Mapping[str, Any]) -> str:
    error = answer.get("Error", {})
    code, message = str(error.get("Code", "")), str(error.get("Message") or "")
    said = f"{code}: {message}" if message and message != code else code
    return f"{said[:MAX_WORDS]} ({_status(answer)})"


def _skew(answer: Mapping[str, Any]) -> str:
    try:
        there = parsedate_to_datetime(_headers(answer).get("date", ""))
    except ValueError:
        return "by how much, it does not say"
    if there.tzinfo is None:  # so it is parsed where its zone is -0000
        there = there.replace(tzinfo=UTC)
    seconds = (there - datetime.now(UTC)).total_seconds()
    return f"its clock is {abs(seconds):.0f} s {'before' if seconds > 0 else 'behind'} ours"
