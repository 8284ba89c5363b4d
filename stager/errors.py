"""What can go wrong, one class for each thing that a caller can act on.

::

    StagingError
    ├── RequestError                 the caller can mend the request
    │   ├── InvalidMethod            InvalidPath            PathOutsideArea
    │   ├── InvalidUserName          UserDoesNotExist       UnknownArea
    │   ├── OverlappingPaths         RequestNotFound        IdempotencyConflict
    │   ├── TokenMissing             TokenInvalid           NotAllowed
    │   ├── BodyTooLarge             HeadersTooLarge        TargetTooLong
    │   ├── BodyTooSlow (retryable)  TooManyRequests (retryable)
    │   ├── WrongAccount             TooManyLongCalls (retryable)
    │   ├── TooManyItems             ItemNotFound           NothingToRetry
    │   ├── DownloadNotRetried       RequestNotEnded        RequestArriving (retryable)
    │   ├── InvalidManifest          SharedDestination      MalformedCall
    │   ├── MixedStage               FileNotInRequest       ForeignPage
    │   ├── TypedRunNotAllowed       AnotherUsersRun        LinkNotFound
    │   ├── SystemAccount            AreaNotWritable        BodyTooComplex
    │   ├── AmbiguousHost            UnreadableManifest     NestedDestination
    │   ├── InvalidSecret            SecretKeyMissing       SecretGone
    │   ├── PoolNotAllowed           NoPods                 NotReadBack
    ├── SourceError                  the source is not what was asked for
    │   ├── SourceNotFound           SourceUnreadable       SourceChanged (retryable)
    │   ├── UnsupportedFileType      SymlinkLeadsOut        SourceMismatch
    │   ├── NotExpandable
    ├── DestinationError             the destination does not take it
    │   ├── DestinationExists        DestinationDiffers     DestinationBusy (retryable)
    │   ├── DestinationNotWritable   NoSpace                DestinationTampered
    │   ├── HardLinkImpossible       QuotaExceeded (a NoSpace)
    │   ├── UserFolderMissing        DestinationReadOnly (a DestinationNotWritable)
    │   ├── NameNotTaken             HomeFull (a NoSpace)
    │   ├── KeyNotTaken (a NameNotTaken)     BucketFull (a NoSpace)
    ├── PeerError                    another server, which data are brought to, did not do what it was asked
    │   ├── PeerNotReachable (retryable)     PeerStalled (retryable)         PeerFault (retryable)
    │   ├── PeerBusy (retryable)     PeerRefused            PeerBodyLimit
    │   ├── NotebookStarting (retryable)     NotebookNotRunning (retryable)
    │   ├── NotebookNotStarted       NotebookUserUnknown    NotebookServerUnknown
    │   ├── NotebookTokenRefused (retryable)
    │   ├── BucketUnknown            StoreKeysRefused       StoreKeysExpired (retryable)
    │   ├── ClockSkewed              NotByStore
    ├── StorageFault                 the storage itself failed (retryable)
    ├── CorruptedInTransfer          what arrived is not what left (retryable)
    ├── LeaseLost                    another writer has taken the destination over
    ├── SecretInUse                  another run has the secret that came with the request (retryable)
    ├── SecretUnreadable             the service's keys do not open the secret that came with the request
    ├── RunLost                      the run ended, or sent no more heartbeats, before it was done (retryable)
    ├── MoverNotStarted              no process could be started with the user's rights
    ├── MoverLost                    that process ended, or stopped answering, before it was done
    ├── PodImpossible                the cluster cannot run a pod for it
    ├── Cancelled                    somebody asked to cancel it
    │   └── DeadlinePassed           the request was not done by its deadline
    ├── UnforeseenError              what nobody foresaw (retryable)
    ├── ConfigurationError           the operator can mend a setting or a file
    ├── ManualNotBuilt               there is no manual to show
    ├── RunRefused                   Prefect refused the run for good
    └── ServiceUnavailable           a service that this one depends on does not answer (retryable)
        ├── DatabaseUnavailable      IssuerUnavailable      ClusterUnavailable
        └── PrefectUnavailable       DeploymentMissing

Each class knows its ``http_status``, whether the same call may succeed later
(``retryable``) and who can mend it (``mended_by``); each instance keeps its facts.
What is about one path (a source, a destination, the storage, a lease) is a
PathError, which nobody raises or catches by that name.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

# you: whoever made the request. nobody: it passes by itself, or is over.
MendedBy = Literal["you", "operator", "nobody"]


def readable(path: str | bytes) -> str:
    r"""Return a path as one printable line: what is not, as ``\x..`` escapes."""
    return printable(os.fsencode(path).decode("utf-8", "backslashreplace"))


def printable(text: str) -> str:
    r"""Return a text as one printable line: what is not (line breaks, terminal codes), as ``\n`` and ``\x..``."""
    # Without a codec: one that is first needed where Python's own folder is closed to the process stays unknown.
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class StagingError(Exception):
    """Any error that this service reports in words of its own, as one printable line."""

    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    mended_by: ClassVar[MendedBy] = "operator"
    # Seconds after which whoever refused it wants to be asked again, where it said so.
    retry_after: float | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(printable(message))

    @property
    def message(self) -> str:
        """The error in one sentence."""
        return str(self)


class RequestError(StagingError):
    """The request asks for something that can never be done as it stands."""

    mended_by: ClassVar[MendedBy] = "you"
    http_status = 400


class InvalidMethod(RequestError):
    """There is no such staging method, or the operator does not allow it."""

    def __init__(self, method: str) -> None:
        super().__init__(f"Invalid staging method: {method}")
        self.method = method


class PoolNotAllowed(RequestError):
    """The request asks for a pool that the operator does not let callers choose."""

    http_status = 403

    def __init__(self, pool: str, allowed: Collection[str]) -> None:
        super().__init__(f"A request may not ask for the pool {pool} at this site: {_pools(allowed)}")
        self.pool = pool
        self.allowed = tuple(allowed)


class NotReadBack(RequestError):
    """The request wants what arrived to be read back, and its method does not do that."""

    def __init__(self, method: str) -> None:
        super().__init__(f"The method {method} reads nothing back: leave `verify` out, or use one that does")
        self.method = method


class NoPods(RequestError):
    """The request asks for a pod of its own, and the site has none: it runs without Kubernetes."""

    def __init__(self, allowed: Collection[str]) -> None:
        super().__init__(f"There are no pods at this site, which runs without Kubernetes: {_pools(allowed)}")
        self.allowed = tuple(allowed)


def _pools(allowed: Collection[str]) -> str:
    return f"it may ask for {', '.join(allowed)}, or leave the pool out" if allowed else "leave the pool out"


class InvalidPath(RequestError):
    """The path cannot name anything: it is empty, too long, or has a NUL."""

    def __init__(self, path: str | bytes, reason: str) -> None:
        super().__init__(f"Invalid path {readable(path)[:200]!r}: {reason}")
        self.path = path
        self.reason = reason


class PathOutsideArea(RequestError):
    """The path leads out of its storage area."""

    http_status = 403

    def __init__(self, path: str | bytes, area: str | bytes) -> None:
        hint = "; give it relative to that" if readable(path).startswith("/") else ""
        super().__init__(f"{readable(path)} leads out of {readable(area)}{hint}")
        self.path = path
        self.area = area


class InvalidUserName(RequestError):
    """The user name has a form that no account can have."""

    def __init__(self, username: str) -> None:
        super().__init__(f"Invalid user name: {readable(username)[:64]!r}")
        self.username = username


class UserDoesNotExist(RequestError):
    """No user of that name is known at this site."""

    def __init__(self, username: str) -> None:
        super().__init__(f"User {username} does not exist")
        self.username = username


class SystemAccount(RequestError):
    """The user's account is a system account, for which nothing is staged."""

    mended_by = "operator"
    http_status = 403

    def __init__(self, username: str, what: str, *, found: int, least: int) -> None:
        super().__init__(
            f"User {username} has a system account: its {what} is {found}, and a user's is"
            f" {least} or more (STAGER_LEAST_ID)"
        )
        self.username = username
        self.found = found
        self.least = least


class AreaNotWritable(RequestError):
    """The storage area is not a destination: data are only staged from it."""

    http_status = 403

    def __init__(self, area: str) -> None:
        super().__init__(f"Nothing can be staged to the storage area {readable(area)[:200]}: it is not a destination")
        self.area = area


class UnknownArea(RequestError):
    """No storage area of that name is defined."""

    def __init__(self, area: str) -> None:
        super().__init__(f"Unknown storage area: {readable(area)[:200]}")
        self.area = area


class OverlappingPaths(RequestError):
    """The source lies inside the destination, or the reverse, or two items share one."""

    def __init__(self, source: str | bytes, destination: str | bytes) -> None:
        super().__init__(f"{readable(source)} and {readable(destination)} overlap")
        self.source = source
        self.destination = destination


class RequestNotFound(RequestError):
    """No staging request has that id."""

    http_status = 404

    def __init__(self, request_id: str) -> None:
        super().__init__(f"No staging request has the id {readable(request_id)[:64]}")
        self.request_id = request_id


class LinkNotFound(RequestError):
    """The download link does not exist, was used already, or has expired."""

    http_status = 404

    def __init__(self) -> None:
        super().__init__("No such link: each link serves one download, within its time; ask for a new one")


class WrongAccount(RequestError):
    """The run's process has another account than the user, and cannot create files as the user."""

    http_status = 403

    def __init__(self, username: str, uid: int) -> None:
        super().__init__(f"this run has the uid {uid}, which is not {username}'s: make the request by the API instead")
        self.username = username
        self.uid = uid


class TypedRunNotAllowed(RequestError):
    """The run was typed in, scheduled or retried in Prefect's pages, which this site does not allow."""

    http_status = 403

    def __init__(self) -> None:
        super().__init__(
            "Runs that are typed in, scheduled or retried in Prefect's pages are not allowed at this site "
            "(STAGER_PREFECT_FORM): nothing was staged; make the request by the API instead"
        )


class AnotherUsersRun(RequestError):
    """The run names requests of several users, and a run is for one."""

    http_status = 403

    def __init__(self, username: str) -> None:
        super().__init__(f"A run is for one user, and this one is for {readable(username)}")
        self.username = username


class IdempotencyConflict(RequestError):
    """The same idempotency key came with another request."""

    http_status = 422

    def __init__(self, key: str) -> None:
        super().__init__(f"The idempotency key {readable(key)[:64]} was used for another request")
        self.key = key


class TokenMissing(RequestError):
    """The call needs a bearer token and has none."""

    http_status = 401

    def __init__(self) -> None:
        super().__init__("A bearer token is needed (Authorization: Bearer TOKEN)")


class TokenInvalid(RequestError):
    """The bearer token is not accepted."""

    http_status = 401

    def __init__(self, reason: str) -> None:
        super().__init__(f"The bearer token is not accepted: {readable(reason)[:200]}")
        self.reason = reason


class NotAllowed(RequestError):
    """The operator's rules do not allow this to the caller."""

    http_status = 403

    def __init__(self, reason: str) -> None:
        super().__init__(f"Not allowed: {readable(reason)[:300]}")
        self.reason = reason


class ForeignPage(RequestError):
    """A page of another web site tried to change something."""

    http_status = 403

    def __init__(self, origin: str) -> None:
        super().__init__(
            f"A page of another web site ({readable(origin)[:200]}) tried to change something, which it may not:"
            " STAGER_PUBLIC_URL and STAGER_CORS_ORIGINS name the sites whose pages may"
        )
        self.origin = origin


class BodyTooLarge(RequestError):
    """The body has more bytes than the site takes."""

    http_status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body may have {limit} bytes at most")
        self.limit = limit


class BodyTooComplex(RequestError):
    """The body has more values than the site takes."""

    http_status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body may have {limit} values at most: numbers, words, lists and objects")
        self.limit = limit


class BodyTooSlow(RequestError):
    """The body of the call arrived too slowly."""

    http_status = 408
    retryable = True

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The body paused for {seconds:g} s")
        self.seconds = seconds


class TooManyRequests(RequestError):
    """The user has as many open requests as the site allows."""

    http_status = 429
    retryable = True

    def __init__(self, username: str, limit: int) -> None:
        super().__init__(f"{username} has {limit} open requests already: wait until some have ended")
        self.username = username
        self.limit = limit


class TooManyLongCalls(RequestError):
    """The user holds as many streams, uploads and waiting calls as the site allows."""

    http_status = 429
    retryable = True

    def __init__(self, username: str, limit: int) -> None:
        super().__init__(f"{username} has {limit} streams, uploads or waiting calls already: end some of them")
        self.username = username
        self.limit = limit


class AmbiguousHost(RequestError):
    """The call names no host, or several."""

    def __init__(self, count: int) -> None:
        super().__init__(f"The call has {count} Host headers, and HTTP/1.1 wants one")
        self.count = count


class HeadersTooLarge(RequestError):
    """The header fields have more bytes than the site takes."""

    http_status = 431

    def __init__(self, limit: int) -> None:
        super().__init__(f"The header fields may have {limit} bytes at most")
        self.limit = limit


class TargetTooLong(RequestError):
    """The address has more bytes than the site takes."""

    http_status = 414

    def __init__(self, limit: int) -> None:
        super().__init__(f"Path and query may have {limit} bytes at most")
        self.limit = limit


class TooManyItems(RequestError):
    """The request has more items than it may have this way."""

    http_status = 413

    def __init__(self, limit: int, instead: str) -> None:
        super().__init__(f"More than {limit} items: {instead}")
        self.limit = limit


class ItemNotFound(RequestError):
    """The request has no item at that position."""

    http_status = 404

    def __init__(self, request_id: str, position: int) -> None:
        super().__init__(f"Request {request_id} has no item {position}")
        self.request_id = request_id
        self.position = position


class RequestNotEnded(RequestError):
    """The request has not ended yet, and this is possible only then."""

    http_status = 409

    def __init__(self, request_id: str, status: str) -> None:
        super().__init__(f"Request {request_id} is {status}: it has not ended yet")
        self.request_id = request_id


class NothingToRetry(RequestError):
    """No item of the request ended so that it can be retried."""

    http_status = 409

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Request {request_id} has no such item to retry")
        self.request_id = request_id


class DownloadNotRetried(RequestError):
    """A download cannot be retried: ask for the file again."""

    http_status = 409

    def __init__(self, request_id: str) -> None:
        super().__init__(f"Request {request_id} is a download, which cannot be retried: ask for the file again")
        self.request_id = request_id


class RequestArriving(RequestError):
    """Another call with the same idempotency key is still being taken in."""

    http_status = 409
    retryable = True

    def __init__(self, key: str) -> None:
        super().__init__(f"The call with the idempotency key {readable(key)[:64]} is still being taken in")
        self.key = key


class SharedDestination(RequestError):
    """Two items of a request have the same destination."""

    http_status = 422

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"Items {first} and {second}, counted from 0, have the same destination")
        self.first = first
        self.second = second


class NestedDestination(RequestError):
    """The destination of one item of a request lies inside that of another."""

    http_status = 422

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__(f"The destination of item {inner} lies inside that of item {outer}, counted from 0")
        self.inner = inner
        self.outer = outer


class InvalidManifest(RequestError):
    """A line of the uploaded manifest is invalid."""

    http_status = 422

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"Line {line} of the manifest: {readable(reason)[:500]}")
        self.line = line
        self.reason = reason


class UnreadableManifest(RequestError):
    """The uploaded manifest has a format that is not accepted."""

    http_status = 415

    def __init__(self, reason: str) -> None:
        super().__init__(printable(reason)[:500])
        self.reason = reason


class MalformedCall(RequestError):
    """The body of the Tape REST call is invalid."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The body of the Tape REST call is invalid: {readable(reason)[:500]}")
        self.reason = reason


class MixedStage(RequestError):
    """The files of one stage request are for several users, by several methods or to several areas."""

    def __init__(self, what: str) -> None:
        super().__init__(f"One stage request is for one user, by one method and to one area; several {what} are named")
        self.what = what


class FileNotInRequest(RequestError):
    """A path does not belong to the request; nothing was changed."""

    def __init__(self, path: str, request_id: str) -> None:
        super().__init__(f"{readable(path)} does not belong to the request {request_id}; nothing was changed")
        self.path = path
        self.request_id = request_id


class InvalidSecret(RequestError):
    """The secret that came with the request cannot be one."""

    http_status = 422

    def __init__(self, reason: str) -> None:
        super().__init__(f"The secret that came with the request {reason}")
        self.reason = reason


class SecretKeyMissing(RequestError):
    """No secret of a user's is kept here: the service has no key to seal it with."""

    mended_by = "operator"
    http_status = 403

    def __init__(self) -> None:
        super().__init__("No secret of a user's can be kept or read here: the service has no key (STAGER_SECRET_KEY)")


class SecretGone(RequestError):
    """The secret that came with the request is deleted, as it is when a request ends."""

    http_status = 409

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"The secret that request {readable(request_id)[:64]} needs is deleted, as it is when a request ends: "
            "make the request again, and give the secret again"
        )
        self.request_id = request_id


class PathError(StagingError):
    """An error about one path, with what the system said of it."""

    template: ClassVar[str] = "{path}: {reason}"

    def __init__(self, path: str | bytes, reason: str = "") -> None:
        super().__init__(self.template.format(path=readable(path), reason=reason))
        self.path = path
        self.reason = reason


class SourceError(PathError):
    """The source is not what was asked for."""

    mended_by: ClassVar[MendedBy] = "you"
    http_status = 422


class SourceNotFound(SourceError):
    """Nothing is at the source's path."""

    http_status = 400
    template = "Source path does not exist: {path}"


class SourceUnreadable(SourceError):
    """The source exists, and cannot be read."""

    mended_by = "operator"
    http_status = 403
    template = "Source cannot be read: {path}: {reason}"


class SourceChanged(SourceError):
    """The source changed while it was read; nothing was delivered."""

    mended_by = "nobody"
    http_status = 409
    retryable = True
    template = "Source changed while it was read: {path}: {reason}"


class UnsupportedFileType(SourceError):
    """The source is a FIFO, a socket or a device, which cannot be staged."""

    template = "Not a file or a directory: {path} is {reason}"


class SymlinkLeadsOut(SourceError):
    """A symbolic link in the source leads out of the staged directory."""

    template = "Symbolic link leads out of the staged directory: {path} -> {reason}"


class SourceMismatch(SourceError):
    """The source has another size or checksum than the request says."""

    template = "Source is not as requested: {path}: {reason}"


class NotExpandable(SourceError):
    """The source stands for no items."""

    template = "Source cannot be expanded: {path}: {reason}"


class DestinationError(PathError):
    """The destination does not take the data."""

    mended_by: ClassVar[MendedBy] = "you"
    http_status = 409


class DestinationExists(DestinationError):
    """Something is at the destination, and the request said to fail then."""

    template = "Destination exists: {path}"


class DestinationDiffers(DestinationError):
    """Something else is at the destination; it was not touched."""

    template = "Destination holds something else: {path}: {reason}"


class DestinationBusy(DestinationError):
    """Another request is writing to the destination."""

    mended_by = "nobody"
    retryable = True
    template = "Destination is being written by another request: {path}: {reason}"


class DestinationNotWritable(DestinationError):
    """The destination cannot be written: no permission, or a read-only file system."""

    mended_by: ClassVar[MendedBy] = "operator"
    http_status = 403
    template = "Destination cannot be written: {path}: {reason}"


class DestinationReadOnly(DestinationNotWritable):
    """A folder on the way to the destination is read-only for the user, as delivered directories are."""

    mended_by = "you"


class UserFolderMissing(DestinationError):
    """The user has no folder in the area, and the service may not make one there."""

    mended_by = "operator"
    http_status = 403
    template = "There is no folder {path}, and the service cannot make it ({reason}): ask whoever runs the storage"


class NoSpace(DestinationError):
    """The file system is full."""

    mended_by: ClassVar[MendedBy] = "operator"
    http_status = 507
    template = "No space at the destination: {path}: {reason}"


class QuotaExceeded(NoSpace):
    """The user has as much on the file system as their quota allows."""

    mended_by = "you"
    template = "The user's disk quota is used up: {path}: {reason}"


class HomeFull(NoSpace):
    """The notebook's home has no room left."""

    mended_by = "you"
    template = "The notebook's home is full: {path}: {reason}; remove something there first"


class NameNotTaken(DestinationError):
    """The notebook server takes no file or folder of that name."""

    http_status = 422
    template = "The notebook server takes no such name: {path}: {reason}"


class KeyNotTaken(NameNotTaken):
    """An object store takes no such key, or would take it for another."""

    template = "An object store takes no such key: {path}: {reason}"


class BucketFull(NoSpace):
    """The bucket, or its owner, has as much as the store's quota allows."""

    template = "The bucket is full: {path}: {reason}"


class DestinationTampered(DestinationError):
    """Somebody changed the staged data before they were published."""

    template = "Destination was changed by somebody else while it was written: {path}: {reason}"


class HardLinkImpossible(DestinationError):
    """A hard link is impossible: it would cross file systems, or stay writable."""

    http_status = 422
    template = "Cannot link: {path}: {reason}"


class PeerError(StagingError):
    """Another server, which data are brought to, did not do what it was asked."""

    http_status = 502
    template: ClassVar[str] = "{peer}: {reason}"

    def __init__(self, peer: str, reason: str, *, retry_after: float | None = None) -> None:
        super().__init__(self.template.format(peer=peer, reason=reason))
        self.peer = peer
        self.reason = reason
        self.retry_after = retry_after


class PeerNotReachable(PeerError):
    """No connection to the server can be made."""

    http_status = 503
    retryable = True
    template = "{peer} cannot be reached: {reason}"


class PeerStalled(PeerError):
    """The server neither takes nor sends a byte."""

    http_status = 504
    retryable = True
    template = "{peer} has stalled: {reason}"


class PeerFault(PeerError):
    """The server failed, or its answer broke off or is none that it should give."""

    retryable = True
    template = "{peer} failed: {reason}"


class PeerBusy(PeerError):
    """The server has too much to do, and wants to be asked later."""

    mended_by = "nobody"
    http_status = 503
    retryable = True
    template = "{peer} has too much to do: {reason}"


class PeerRefused(PeerError):
    """The server does not allow it: the token does not count there, or not for that."""

    http_status = 403
    template = "{peer} does not allow it: {reason}"


class PeerBodyLimit(PeerError):
    """The server, or what stands before it, does not even take a small piece."""

    http_status = 413
    template = "{peer} takes no such amount at once: {reason}"


class NotebookStarting(PeerError):
    """The notebook server is starting, stopping or being looked at by its hub, for longer than we wait."""

    mended_by = "nobody"
    http_status = 503
    retryable = True
    template = "{peer} is not ready yet: {reason}"


class NotebookNotRunning(PeerError):
    """The notebook server is not running."""

    mended_by = "you"
    http_status = 503
    retryable = True
    template = "{peer} is not running: {reason}"


class NotebookTokenRefused(PeerError):
    """The notebook server does not take the token that its hub made for it; the next try has another."""

    http_status = 403
    retryable = True
    template = "{peer} does not take our token: {reason}"


class NotebookNotStarted(PeerError):
    """The hub could not start the notebook server."""

    template = "{peer} could not be started: {reason}"


class NotebookUserUnknown(PeerError):
    """The hub knows no user of that name."""

    http_status = 404
    template = "{peer} has no such user: {reason}"


class NotebookServerUnknown(PeerError):
    """The user has no notebook server of that name."""

    mended_by = "you"
    http_status = 404
    template = "{peer} is none that the hub knows: {reason}"


class BucketUnknown(PeerError):
    """The object store has no such bucket."""

    http_status = 404
    template = "{peer} does not exist: {reason}"


class StoreKeysRefused(PeerError):
    """The object store does not know the access key, or the secret key does not belong to it."""

    http_status = 403
    template = "{peer} does not take our keys: {reason}"


class StoreKeysExpired(PeerError):
    """The temporary keys for the object store have run out; the next try has others."""

    http_status = 403
    retryable = True
    template = "{peer} takes our temporary keys no more: {reason}"


class ClockSkewed(PeerError):
    """The object store's clock and this machine's differ by more than the store allows."""

    template = "{peer} has another time than we: {reason}"


class NotByStore(PeerError):
    """The object store does not do that at all."""

    http_status = 501
    template = "{peer} does not do that: {reason}"


class StorageFault(PathError):
    """The storage failed: an I/O error, a stale handle, a vanished mount."""

    http_status = 503
    retryable = True
    template = "Storage fault: {path}: {reason}"


class CorruptedInTransfer(PathError):
    """The data that arrived have another size or checksum than those that were read."""

    retryable = True
    template = "Corrupted in transfer: {path}: {reason}"


class LeaseLost(PathError):
    """Another writer has taken the destination over; nothing was published."""

    mended_by = "nobody"
    http_status = 409
    template = "Another run has taken over the destination: {path}"


class SecretInUse(StagingError):
    """Another run, or another process of the run, has the secret that came with the request.

    ``is_passing`` says whether whoever asked may have it once the other has done with it.
    """

    mended_by = "nobody"
    http_status = 409
    retryable = True

    def __init__(self, request_id: str, *, is_passing: bool = False) -> None:
        super().__init__(f"The secret of request {request_id} is for whoever stages it, and another process does")
        self.request_id = request_id
        self.is_passing = is_passing


class SecretUnreadable(StagingError):
    """The secret that came with the request cannot be opened: the service's keys are others by now."""

    def __init__(self, request_id: str) -> None:
        super().__init__(
            f"The secret of request {request_id} cannot be opened: none of the keys in STAGER_SECRET_KEY sealed it"
        )
        self.request_id = request_id


class RunLost(StagingError):
    """The run ended, or sent no more heartbeats, before it was done; the same request may be made again."""

    mended_by = "nobody"
    http_status = 503
    retryable = True


class MoverNotStarted(StagingError):
    """No process could be started with the user's rights."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"No process could be started with the rights of {readable(name)}: {readable(reason)} "
            "(a service that is root needs CAP_SETUID and CAP_SETGID)"
        )


class MoverLost(StagingError):
    """The process with the user's rights ended, or stopped answering, before it was done."""

    mended_by = "you"

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"The process that stages with the rights of {readable(name)} {readable(what)}")


class PodImpossible(StagingError):
    """The cluster cannot run a pod for the request; its operator can mend that."""

    http_status = 503


class Cancelled(StagingError):
    """The request was cancelled; nothing was left behind."""

    mended_by = "nobody"
    http_status = 409

    def __init__(self, reason: str = "cancelled on request") -> None:
        super().__init__(reason)


class DeadlinePassed(Cancelled):
    """The request's deadline passed before it was done; nothing was left behind."""

    def __init__(self, deadline: datetime) -> None:
        super().__init__(f"not done by its deadline, {deadline:%F %T} UTC")
        self.deadline = deadline


class UnforeseenError(StagingError):
    """An unforeseen error; the log has its stack trace."""

    retryable = True

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"Unforeseen error: {type(error).__name__}: {error}")
        self.error = error


class ManualNotBuilt(StagingError):
    """The manual was not built, or the service was not told where it is."""

    http_status = 404

    def __init__(self) -> None:
        super().__init__(
            "The manual is not built here: `make docs` builds it, and STAGER_MANUAL says in which folder it is"
        )


class RunRefused(StagingError):
    """Prefect refused the run for good."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"Prefect refused the run: {reason}")
        self.reason = reason


class ConfigurationError(StagingError):
    """A file of the operator's is missing or invalid."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(f"{readable(os.fspath(path))}: {reason}")
        self.path = os.fspath(path)
        self.reason = reason


class ServiceUnavailable(StagingError):
    """A service that this one depends on does not answer."""

    http_status = 503
    retryable = True

    service: ClassVar[str] = "A service"

    def __init__(self, reason: str) -> None:
        super().__init__(f"{self.service} does not answer: {reason}")
        self.reason = reason


class DatabaseUnavailable(ServiceUnavailable):
    """The records database does not answer."""

    service = "The records database"


class IssuerUnavailable(ServiceUnavailable):
    """The issuer of the caller's token does not answer."""

    service = "The token's issuer"


class ClusterUnavailable(ServiceUnavailable):
    """The Kubernetes API does not answer, or does not allow what was asked of it."""

    service = "The Kubernetes cluster"


class PrefectUnavailable(ServiceUnavailable):
    """Prefect's API does not answer."""

    service = "Prefect"


class DeploymentMissing(PrefectUnavailable):
    """Prefect has no deployment of the method yet; other methods work."""


def _with_those_below(kind: type[StagingError]) -> Iterator[type[StagingError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _with_those_below(below)


# The classes by their names, as records, metrics and problems name them.
KINDS = {kind.__name__: kind for kind in _with_those_below(StagingError)}

_SOURCE_ERRORS: dict[int, type[PathError]] = {
    errno.ENOENT: SourceNotFound,
    errno.ENOTDIR: SourceNotFound,
    errno.EACCES: SourceUnreadable,
    errno.EPERM: SourceUnreadable,
}
_DESTINATION_ERRORS: dict[int, type[PathError]] = {
    errno.EEXIST: DestinationDiffers,
    errno.ENOTEMPTY: DestinationDiffers,
    errno.ENOTDIR: DestinationDiffers,
    errno.EACCES: DestinationNotWritable,
    errno.EPERM: DestinationNotWritable,
    errno.EROFS: DestinationNotWritable,
    errno.ENOSPC: NoSpace,
    errno.EDQUOT: QuotaExceeded,
    errno.EMLINK: HardLinkImpossible,
}


def source_error(error: OSError, path: str | bytes) -> StagingError:
    """Return the error to raise for a system call that failed on the source."""
    return _from_errno(_SOURCE_ERRORS, error, path)


def destination_error(error: OSError, path: str | bytes) -> StagingError:
    """Return the error to raise for a system call that failed on the destination."""
    return _from_errno(_DESTINATION_ERRORS, error, path)


def _from_errno(classes: dict[int, type[PathError]], error: OSError, path: str | bytes) -> StagingError:
    if error.errno == errno.ENAMETOOLONG:
        return InvalidPath(path, "a name or the path is too long")
    reason = f"{os.strerror(error.errno)} ({errno.errorcode[error.errno]})" if error.errno else str(error)
    return classes.get(error.errno or 0, StorageFault)(path, reason)
