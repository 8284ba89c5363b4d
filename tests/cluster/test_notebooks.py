"""Pods and a JupyterHub outside the cluster: what is told where there is no way to it, and a file that arrives."""

from __future__ import annotations

import os
import socket
from http import HTTPStatus

import httpx
import pytest

from tests.cluster.conftest import Release, eventually
from tests.peers.running_hub import RunningHub, is_installed

if "TEST_HOST" not in os.environ or not is_installed():
    pytest.skip("needs TEST_HOST, and JupyterHub (`make test` installs it)", allow_module_level=True)


def check(release: Release) -> str:
    """Return what is told of the hub where flow runs are."""
    worker = f"deployment/{release.fullname}-warm-worker"
    return release.cluster.kubectl("exec", worker, "--", "sh", "-c", "python -m deployments.check_hub 2>&1 || true")


def test_a_hub_that_is_not_reached_is_told_and_one_that_is_gets_a_file(release: Release, hub: RunningHub) -> None:
    address = httpx.URL(hub.url)
    assert "nobody listens there" in check(release)
    with socket.create_server((address.host, int(address.port or 0)), backlog=0) as deaf:
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:  # whoever comes now, the machine's own queue being full, is dropped
            one.settimeout(0)
            one.connect_ex(deaf.getsockname())
        assert "it does not take a connection" in check(release)
        for one in waiting:
            one.close()
    hub.start()
    assert "answers, and our token does what is needed" in check(release)
    release.hand.write("storage_a/to-notebook.txt", "for a notebook")
    items = [{"source": "to-notebook.txt", "destination": "data/to-notebook.txt"}]
    status, body = release.call("POST", "/requests", {"method": "jupyter_copy", "username": "alice", "items": items})
    assert status == HTTPStatus.ACCEPTED, body
    eventually(lambda: release.ending(body["request_id"]), "the end of the request")
    record = release.record(body["request_id"])
    assert record["status"] == "completed", record
    assert (hub.home("alice") / "data/to-notebook.txt").read_text() == "for a notebook"
