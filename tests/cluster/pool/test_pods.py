"""Flow runs in pods: the user, the files and the records that warm workers leave too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster.pool.conftest import Site

COPIED = ["submitted", "flow_run", "started", "completed"]
REFUSED = "this run has the uid 10001, which is not alice's: make the request by the API instead"


@pytest.mark.parametrize(
    ("method", "expected"), [("local_copy", "f 70001 70002 400"), ("local_symlink", "l 70001 70002 777")]
)
def test_a_method_runs_in_a_pod_that_is_the_user(site: Site, method: str, expected: str) -> None:
    record = completed(site, request := site.ask("a.fits", method, method=method))
    assert record["acting_as"] == "alice (uid 70001, gid 70002)"
    assert site.delivered()[method] == expected
    assert site.differences("a.fits", method) == ""
    assert [kind for kind, _ in site.events(request)] == COPIED
    (pod,) = site.pods(request)
    context = pod["spec"]["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (70001, 70002)
    assert context["supplementalGroups"] == [70002, 70003]


def test_a_pod_of_root_becomes_the_user(site: Site) -> None:
    with site.saying(acts_as="root"):
        record = completed(site, site.ask("a.fits", "given"))
    assert record["acting_as"] == "alice (uid 70001, gid 70002)"
    assert site.delivered()["given"] == "f 70001 70002 400"
    assert site.differences("a.fits", "given") == ""


def test_hard_links_are_made_where_both_areas_are_in_one_mount(site: Site) -> None:
    volumes = [*site.said()["volumes"][2:], {"name": "site", "hostPath": {"path": site.folder, "type": "Directory"}}]
    mounts = [*site.said()["volume_mounts"][3:], {"name": "site", "mountPath": "/site"}]
    with site.saying(acts_as="root", volumes=volumes, volume_mounts=mounts):
        completed(site, site.ask("linked.fits", "linked", method="symlink_copy"))
    assert site.run("stat -c %h /site/storage/linked.fits") == "2\n"


def test_a_run_typed_in_for_a_pod_that_is_not_the_user_is_refused(site: Site) -> None:
    run = site.typed("typed")
    site.until(lambda: site.state(run), lambda state: state == ("FAILED", REFUSED))
    assert "typed" not in site.delivered()


def completed(site: Site, request: str) -> dict[str, object]:
    """Return the record of a request that has succeeded."""
    record = site.ended(request)
    (item,) = record["items"]
    assert (record["status"], item["status"], item["error_reason"]) == ("completed", "completed", None)
    return record
