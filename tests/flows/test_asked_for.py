"""Which runs count: those that the service asked for, and from Prefect's pages those that the site lets count."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from stager.errors import RequestNotFound
from stager.models import StagingItem, Status
from stager.records.requests import (
    add_items,
    begin_large_request,
    get_request,
    list_requests,
    submit_large_request,
    terms_again,
)
from stager.records.runs import FairShare, claim_run_group, note_flow_run
from tests.ask_prefect import ask_prefect
from tests.flows.conftest import RUN, site_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.conftest import Site

pytestmark = pytest.mark.stack

FORM: dict[str, Any] = {"request": {"username": "alice", "items": [{"source": "a.fits", "destination": "typed.fits"}]}}
NOT_HANDED = "Failed: Nothing was staged: the requests were not handed to this run."
SHARE = FairShare(username="alice", method="local_copy", is_next=True)

SiteWith = Callable[..., "Site"]


@pytest.fixture
def site_with(prefect_api: str, tmp_path: Path) -> Iterator[SiteWith]:
    """A site with some settings."""
    made = []

    def make(**settings: str) -> Site:
        context = site_of(tmp_path, f"sqlite:///{tmp_path}/records.db", prefect_api, **settings)
        made.append(context)
        return context.__enter__()

    yield make
    for context in made:
        context.__exit__(None, None, None)


def ended(site: Site, flow_run_id: str) -> str:
    """Execute a flow run, and return its final state in words."""
    with site.executing(RUN, "local_copy", flow_run_id) as process:
        return site.ended(process)[0]


def do_again(site: Site, flow_run_id: str) -> str:
    """Press Prefect's Retry, and return the run's final state in words."""
    retry = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}
    site.ask(f"flow_runs/{flow_run_id}/set_state", {"state": retry, "force": True})
    return ended(site, flow_run_id)


# The tests' users are whoever runs them, root too.
AUTHENTICATED = {"STAGER_ACCESS_FILE": "/etc/access.toml", "STAGER_LEAST_ID": "0"}


@pytest.mark.parametrize(
    "settings",
    [AUTHENTICATED, {"STAGER_PREFECT_FORM": "false"}],
    ids=["with authentication", "where the site says so"],
)
def test_a_run_that_is_typed_in_where_it_does_not_count_is_a_failed_record_that_says_so(
    site_with: SiteWith, settings: dict[str, str]
) -> None:
    site = site_with(**settings)
    said = ended(site, site.asked_for("local_copy", FORM))
    assert said.startswith(
        "Failed: Runs that are typed in, scheduled or retried in Prefect's pages are not allowed at this site"
    )
    (row,) = list_requests(site.database).requests
    assert (row.status, row.username, row.origin) == (Status.FAILED, "alice", "prefect")
    (file,) = site.files(row.id)
    assert (file.status, file.error_type) == (Status.FAILED, "TypedRunNotAllowed")
    assert list(site.users.iterdir()) == []


@pytest.mark.parametrize(
    "settings", [{}, AUTHENTICATED | {"STAGER_PREFECT_FORM": "true"}], ids=["without", "where the site says so"]
)
def test_a_run_that_is_typed_in_counts_without_authentication_or_where_the_site_says_so(
    site_with: SiteWith, settings: dict[str, str]
) -> None:
    site = site_with(**settings)
    assert ended(site, site.asked_for("local_copy", FORM)).startswith("Completed")
    (row,) = list_requests(site.database).requests
    assert row.status is Status.COMPLETED
    assert (site.users / "alice/typed.fits").exists()


def test_prefects_retry_of_a_run_that_delivered_all_stages_nothing(site_with: SiteWith) -> None:
    site = site_with()
    flow_run_id = site.asked_for("local_copy", FORM)
    first = ended(site, flow_run_id)
    (site.users / "alice/typed.fits").unlink()
    assert do_again(site, flow_run_id) == first
    assert list((site.users / "alice").iterdir()) == []
    assert len(list_requests(site.database).requests) == 1


def test_prefects_retry_of_a_run_that_did_not_count_counts_no_more(site_with: SiteWith) -> None:
    site = site_with(**AUTHENTICATED)
    flow_run_id = site.asked_for("local_copy", FORM)
    first = ended(site, flow_run_id)
    assert do_again(site, flow_run_id) == first
    assert list(site.users.iterdir()) == []


LATE: dict[str, Any] = {
    "request": {
        "username": "alice",
        "on_conflict": "replace",
        "items": [{"source": name, "destination": name} for name in ("a.fits", "late.fits")],
    }
}


def test_prefects_retry_of_a_run_that_failed_makes_a_new_request_of_what_failed(site_with: SiteWith) -> None:
    site = site_with()
    flow_run_id = site.asked_for("local_copy", LATE)
    for run in (ended, do_again):
        assert "late.fits" in run(site, flow_run_id)
    (site.folder / "storage/late.fits").write_bytes(b"there now")
    assert do_again(site, flow_run_id).startswith("Completed")
    assert (site.users / "alice/late.fits").read_bytes() == b"there now"
    third, second, first = list_requests(site.database).requests
    assert [row.status for row in (first, second, third)] == [Status.FAILED, Status.FAILED, Status.COMPLETED]
    assert [row.retry_of for row in (first, second, third)] == [None, first.id, second.id]
    assert (third.on_conflict, third.item_count, third.origin) == ("replace", 1, "prefect")
    assert third.flow_run_id == flow_run_id
    assert any(f"/requests/{third.id})" in str(shown["data"]) for shown in site.artifacts(third.id))


def test_a_failed_run_that_is_begun_again_by_nobodys_wish_stages_nothing(site_with: SiteWith) -> None:
    site = site_with()
    flow_run_id = site.asked_for("local_copy", LATE)
    first = ended(site, flow_run_id)
    (site.folder / "storage/late.fits").write_bytes(b"there now")
    moved = {"type": "SCHEDULED", "name": "AwaitingReschedule"}
    site.ask(f"flow_runs/{flow_run_id}/set_state", {"state": moved, "force": True})
    assert ended(site, flow_run_id) == first
    assert len(list_requests(site.database).requests) == 1


def test_prefects_retry_where_it_does_not_count_says_so_and_repeats_no_old_error(site_with: SiteWith) -> None:
    site = site_with(**AUTHENTICATED)
    request_id = site.request(("late.fits", "late.fits"))
    flow_run_id = site.flow_run("local_copy", request_id)
    assert "late.fits" in ended(site, flow_run_id)
    assert "retried in Prefect's pages are not allowed at this site" in do_again(site, flow_run_id)
    assert [row.id for row in list_requests(site.database).requests] == [request_id]


def begun_again(site: Site, flow_run_id: str, **more: Any) -> str:
    """Begin a request under the key of the retry of what failed, as a run that was killed leaves it."""
    (failed,) = list_requests(site.database).requests
    terms, key = terms_again(failed), f"{flow_run_id}/{failed.id}"
    given = {"origin": "prefect", "idempotency_key": key, "retry_of": failed.id}
    begun = begin_large_request(site.database, terms, **(given | more))
    item = StagingItem(source="late.fits", destination="late.fits")
    add_items(site.database, begun, [item], start=0)
    return begun


def test_a_retry_that_was_killed_half_written_is_written_anew(site_with: SiteWith) -> None:
    site = site_with()
    flow_run_id = site.asked_for("local_copy", LATE)
    ended(site, flow_run_id)
    half = begun_again(site, flow_run_id)
    (site.folder / "storage/late.fits").write_bytes(b"there now")
    assert do_again(site, flow_run_id).startswith("Completed")
    again, _ = list_requests(site.database).requests
    assert (again.id != half, again.item_count) == (True, 1)
    with pytest.raises(RequestNotFound):
        get_request(site.database, half)


def test_a_retry_that_another_run_has_taken_up_is_left_to_it(site_with: SiteWith) -> None:
    site = site_with()
    flow_run_id = site.asked_for("local_copy", LATE)
    ended(site, flow_run_id)
    made = begun_again(site, flow_run_id)
    submit_large_request(site.database, made, item_count=1, digest="0", flow_run_id=str(uuid.uuid4()))
    assert do_again(site, flow_run_id) == NOT_HANDED
    assert get_request(site.database, made).status is Status.SUBMITTED


def test_a_request_that_only_has_the_key_of_a_retry_is_taken_for_none(site_with: SiteWith) -> None:
    site = site_with()
    flow_run_id = site.asked_for("local_copy", LATE)
    ended(site, flow_run_id)
    made = begun_again(site, flow_run_id, origin="api", retry_of=None)
    submit_large_request(site.database, made, item_count=1, digest="0")
    assert "was used for another request" in do_again(site, flow_run_id)
    assert get_request(site.database, made).status is Status.SUBMITTED


def is_claimed(site: Site) -> None:
    """Claim what waits for a run that Prefect has not been asked for."""
    assert claim_run_group(site.database, SHARE, limit=1)


def is_handed_over(site: Site) -> None:
    """Hand what waits to another run."""
    note_flow_run(site.database, [row.id for row in list_requests(site.database).requests], str(uuid.uuid4()))


@pytest.mark.parametrize("before", [None, is_claimed, is_handed_over])
@pytest.mark.parametrize("key", [None, "forged"])
def test_a_run_that_names_a_request_which_the_service_did_not_hand_to_it_leaves_it_alone(
    site_with: SiteWith, before: Callable[[Site], None] | None, key: str | None
) -> None:
    site = site_with()
    request_id = site.request(("a.fits", "b.fits"))
    if before:
        before(site)
    told = get_request(site.database, request_id)
    forged = {"idempotency_key": f"{key}-{uuid.uuid4()}"} if key else {}
    assert ended(site, site.asked_for("local_copy", {"request_ids": [request_id]}, **forged)) == NOT_HANDED
    assert get_request(site.database, request_id) == told
    assert list(site.users.iterdir()) == []


def test_a_run_whose_id_is_not_yet_on_record_does_what_its_key_was_claimed_for(site_with: SiteWith) -> None:
    site = site_with()
    request_id = site.request(("a.fits", "b.fits"))
    group = claim_run_group(site.database, SHARE, limit=1)
    assert group is not None
    asked = site.asked_for("local_copy", {"request_ids": group.request_ids}, idempotency_key=group.key)
    assert ended(site, asked).startswith("Completed")
    assert get_request(site.database, request_id).flow_run_id == asked


def test_a_request_of_another_user_is_refused_in_a_run_and_the_run_goes_on(site_with: SiteWith) -> None:
    site = site_with()
    alices, bobs = (site.request(("a.fits", "b.fits"), username=name) for name in ("alice", "bob"))
    said, _ = site.run("local_copy", alices, bobs)
    assert said.startswith("Failed: 2 requests of alice: 1 completed, 1 failed"), said
    (file,) = site.files(bobs)
    assert (file.status, file.error_type) == (Status.FAILED, "AnotherUsersRun")
    assert [path.name for path in site.users.iterdir()] == ["alice"]


def test_a_run_that_is_typed_in_names_no_requests_that_are_on_record(site_with: SiteWith) -> None:
    site = site_with()
    bobs = site.request(("a.fits", "b.fits"), username="bob")
    flow_run_id = site.asked_for("local_copy", FORM | {"request_ids": [bobs]})
    note_flow_run(site.database, [bobs], flow_run_id)
    assert ended(site, flow_run_id).startswith("Failed: Validation of flow parameters failed")
    assert ask_prefect("GET", f"{site.prefect_api}/flow_runs/{flow_run_id}")["run_count"] == 0  # it never began
    assert site.statuses([bobs]) == [Status.SUBMITTED]
    assert list(site.users.iterdir()) == []
