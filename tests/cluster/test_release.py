"""The chart on a real cluster: it installs with the demo's values, stages, scales, and keeps what it was given."""

from __future__ import annotations

import os

import httpx
import pytest

from tests.cluster.conftest import Release

# As the demo's values name it.
HOST = "staging-service.local"


def test_helm_test_stages_a_file_and_looks_at_what_came_of_it(release: Release) -> None:
    release.cluster.helm("test", release.name, "--timeout", "10m")
    said = release.cluster.kubectl("logs", f"{release.fullname}-test")
    assert "ok: the bytes are those of the source" in said


def test_a_file_is_staged_for_its_user(release: Release) -> None:
    release.hand.write("storage_a/File1.txt", "from the demo's page")
    status, answer = release.stage("/mnt/storage_a/File1.txt", "File1Copy.txt")
    assert (status, answer["message"]) == (200, "Data staged for user alice with method local_copy")
    about = release.hand.run("stat", "--format", "%a %u %g", "/node/user_areas/alice/File1Copy.txt")
    assert about == "400 70001 70002\n"


@pytest.fixture
def ingress() -> str:
    address = os.environ.get("TEST_INGRESS")
    if not address:
        pytest.skip("needs an Ingress controller: set TEST_INGRESS to its address")
    return address


@pytest.mark.parametrize("path", ["/docs", "/logs/", "/config/", "/requests"])
def test_the_ingress_leads_to_every_page(release: Release, ingress: str, path: str) -> None:
    del release
    answer = httpx.get(ingress + path, headers={"Host": HOST}, timeout=60)
    assert answer.status_code == httpx.codes.OK


def test_a_file_is_staged_through_the_ingress(release: Release, ingress: str) -> None:
    release.hand.write("storage_a/through.txt", "through the ingress")
    body = {"data": {"local_path_on_storage": "through.txt", "relative_path": "through.txt"}}
    query = {"method": "local_copy", "username": "alice"}
    answer = httpx.post(f"{ingress}/stage_data", params=query, json=body, headers={"Host": HOST}, timeout=120)
    assert answer.json()["status"] == "success"
