"""Stores that answer as none should: nothing is taken for a listing, a part or an upload that is none."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from stager.errors import ClockSkewed, ConfigurationError, DestinationExists, PeerFault
from stager.peers.s3.abilities import Abilities
from stager.peers.s3.bucket import Bucket
from stager.peers.s3.connection import StoreConnection
from tests.peers.odd_server import OddCall, OddServer, hangs_up, says
from tests.peers.s3.conftest import LEAST_PART_BYTES, brought, hurried, random_bytes

REQUEST_ID = "x-amz-request-id: 1"
OBJECTS, UPLOADS = r"GET \S*list-type=2", r"GET \S*\?uploads"
WHOLE = "<Name>staging</Name><IsTruncated>false</IsTruncated>"
CUT = "<Name>staging</Name><Bucket>staging</Bucket><IsTruncated>true</IsTruncated>"


@pytest.fixture
def odd() -> Iterator[OddServer]:
    with OddServer().running() as odd:
        yield odd


@pytest.fixture
def strange(odd: OddServer) -> Iterator[Bucket]:
    """A bucket of the odd server, of which nobody asks what it is able to do."""
    connection = StoreConnection(
        endpoint=odd.url, bucket="staging", prefix="test", access_key="key", secret_key=SecretStr("secret")
    )
    with connection.opened() as bucket:
        bucket.abilities = Abilities()
        yield hurried(bucket)


def objects(inside: str) -> bytes:
    return f"<ListBucketResult>{inside}</ListBucketResult>".encode()


def uploads(inside: str) -> bytes:
    return f"<ListMultipartUploadsResult>{inside}</ListMultipartUploadsResult>".encode()


@pytest.mark.parametrize(
    ("encoding", "written", "key"),
    [
        ("<EncodingType>url</EncodingType>", "a+b%2Bc%20d", "a b+c d"),
        ("", "a%20b+c", "a%20b+c"),
    ],
)
def test_names_in_a_listing_are_decoded_where_the_store_says_that_they_are_encoded(
    odd: OddServer, strange: Bucket, encoding: str, written: str, key: str
) -> None:
    entry = f"<Contents><Key>{written}</Key><Size>1</Size></Contents>"
    odd.answers = {OBJECTS: says(objects(f"{WHOLE}{encoding}{entry}"))}
    assert [found.key for found in strange.list("")] == [key]


def test_names_of_unfinished_uploads_are_as_they_stand_there(odd: OddServer, strange: Bucket) -> None:
    entry = "<Upload><Key>a%41+b</Key><UploadId>1</UploadId></Upload>"
    odd.answers = {UPLOADS: says(uploads(f"<Bucket>staging</Bucket>{entry}"))}
    assert [found.key for found in strange.unfinished("")] == ["a%41+b"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><body>Sign in</body></html>",
        objects(CUT),
        uploads(CUT),
        objects(f"{CUT}<NextContinuationToken>again</NextContinuationToken>"),
        uploads(f"{CUT}<NextKeyMarker>again</NextKeyMarker>"),
    ],
)
def test_an_answer_that_is_no_whole_listing_is_not_taken_for_one(odd: OddServer, strange: Bucket, body: bytes) -> None:
    odd.answers = {OBJECTS: says(body), UPLOADS: says(body)}
    with pytest.raises(PeerFault, match="listing"):
        list(strange.list(""))
    with pytest.raises(PeerFault, match="listing"):
        list(strange.unfinished(""))


def test_an_upload_without_an_id_is_none_and_nothing_is_deleted_for_it(odd: OddServer, strange: Bucket) -> None:
    odd.answers = {
        r"POST \S*\?uploads": says(b"<InitiateMultipartUploadResult><UploadId/></InitiateMultipartUploadResult>"),
    }
    with pytest.raises(PeerFault, match="no id"):
        brought(strange, random_bytes(LEAST_PART_BYTES + 1), "a", replace=True)
    assert not strange.abort("a", "")
    assert [head for head in odd.heads if head.startswith(b"DELETE")] == []


def test_a_store_that_gives_the_whole_for_a_part_has_failed(odd: OddServer, strange: Bucket) -> None:
    odd.answers = {r"GET ": says(b"0123456789")}
    with pytest.raises(PeerFault, match="another part"), strange.read("a", start=2, end=5):
        pass


def test_an_object_of_which_the_store_says_nothing_is_not_taken_for_written(odd: OddServer, strange: Bucket) -> None:
    def not_found(call: OddCall) -> None:
        call.connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    odd.answers = {r"HEAD ": not_found, r"PUT ": says(b"")}
    with pytest.raises(PeerFault, match="says nothing"):
        brought(strange, b"", "a")


def test_what_is_not_there_is_deleted_whatever_the_store_says(odd: OddServer, strange: Bucket) -> None:
    odd.answers = {r"DELETE ": says(b"<Error><Code>NoSuchKey</Code></Error>", "404 Not Found")}
    strange.delete("a")


def test_a_store_that_names_another_region_is_not_asked_again_there(odd: OddServer, strange: Bucket) -> None:
    error = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>elsewhere</Region></Error>"
    odd.answers = {r"[A-Z]+ ": says(error, "400 Bad Request")}
    with pytest.raises(ConfigurationError, match="endpoint or region is another"):
        list(strange.list(""))
    assert len(odd.heads) == 1


def test_a_clock_whose_zone_is_not_said_is_compared_as_well(odd: OddServer, strange: Bucket) -> None:
    error = b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
    odd.answers = {OBJECTS: says(error, "403 Forbidden", "Date: Mon, 30 Nov 2020 00:00:00 -0000\r\n")}
    with pytest.raises(ClockSkewed, match="behind ours"):
        list(strange.list(""))


def test_an_error_that_is_being_handled_is_not_taken_for_the_cause_of_the_next(odd: OddServer, strange: Bucket) -> None:
    odd.answers = {r"HEAD ": hangs_up}

    @contextmanager
    def handling() -> Iterator[None]:
        try:
            yield
        except DestinationExists:
            strange.look("a")

    with pytest.raises(PeerFault, match="the connection broke"), handling():
        raise DestinationExists("a")


def test_that_nothing_is_there_is_the_word_of_a_store_that_names_its_requests_alone(
    odd: OddServer, strange: Bucket
) -> None:
    odd.answers = {r"HEAD ": says(b"", "404 Not Found"), OBJECTS: says(objects(WHOLE), header=f"{REQUEST_ID}\r\n")}
    assert strange.look("a") is None
    assert list(strange.list("")) == []
    with pytest.raises(PeerFault, match="somebody before the store"):
        strange.look("a")
    odd.answers = {r"HEAD ": says(b"", "404 Not Found", f"{REQUEST_ID}\r\n")}
    assert strange.look("a") is None
