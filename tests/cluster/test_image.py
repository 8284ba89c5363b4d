"""The image as a container finds it."""

from __future__ import annotations

from typing import Any

from tests.cluster.conftest import Cluster, Release, eventually

LARGEST = 350_000_000
WAITS_FOR_A_SIGNAL = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(600)
"""


def started(cluster: Cluster, name: str, image: str, *arguments: str) -> None:
    """Start a pod of the image's own user that may write nowhere."""
    context = {"runAsNonRoot": True, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False}
    container = {"name": name, "image": image, "args": [*arguments], "securityContext": context}
    spec = {"containers": [container], "restartPolicy": "Never"}
    cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})


def ended(cluster: Cluster, name: str) -> Any:
    """Return how a pod's container ended, None while it has not."""
    (container,) = cluster.get("pod", name)["status"].get("containerStatuses", [{}])
    return container.get("state", {}).get("terminated")


def test_the_image_is_small_and_has_neither_compiler_nor_cache(release: Release) -> None:
    size_bytes = int(release.hand.run("du", "-sxb", "/").split()[0])
    assert size_bytes <= LARGEST
    left = "command -v cc gcc g++ make; ls /var/lib/apt/lists /root/.cache 2>/dev/null | grep -v :; true"
    assert release.hand.run("sh", "-c", left).split() == []


def test_the_image_runs_as_somebody_who_is_not_root(cluster: Cluster, image: str) -> None:
    started(cluster, "whoami", image, "id", "-u")
    eventually(lambda: ended(cluster, "whoami"), "the end of `id`")
    assert cluster.kubectl("logs", "whoami") == "10001\n"


def test_a_signal_arrives_at_the_program(cluster: Cluster, image: str) -> None:
    started(cluster, "signalled", image, "python", "-c", WAITS_FOR_A_SIGNAL)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/signalled", "--timeout=180s")
    eventually(lambda: "ready" in cluster.kubectl("logs", "signalled"), "a program that waits")
    # A moment later: who sends it must be gone when the container ends.
    cluster.kubectl("exec", "signalled", "--", "sh", "-c", "(sleep 1; kill -TERM 1) >/dev/null 2>&1 &")
    assert eventually(lambda: ended(cluster, "signalled"), "the end of the program")["exitCode"] == 7
