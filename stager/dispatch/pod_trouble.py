"""What is wrong with a flow run's pod, in plain words: from its Job, its status and its events.

Notes
-----
Kubernetes, "Pod Lifecycle" and "Jobs", https://kubernetes.io/docs/concepts/workloads/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import TYPE_CHECKING

from stager.errors import printable

if TYPE_CHECKING:  # on one machine it is not installed
    from kubernetes_asyncio.client import CoreV1Event, V1ContainerStatus, V1Job, V1Pod

# Reasons that the kubelet gives for a container that it can never start as specified.
NEVER = {
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
}
# Reasons while an image is being pulled, and what registries say of an image that does not exist.
PULLING = {"ErrImagePull", "ImagePullBackOff"}
NO_SUCH_IMAGE = ("not found", "manifest unknown", "does not exist", "name unknown")
# The reasons of a container that was killed for lack of memory, and of a node that had none left.
OUT_OF_MEMORY = "OOMKilled"
NODE_OUT_OF_MEMORY = "SystemOOM"
# Reasons of the events that say why a pod was removed.
REMOVALS = {"Evicted", "Preempted", "NodeNotReady", "TaintManagerEviction"}


class Remedy(Enum):
    """What helps against a pod's trouble."""

    TIME = auto()
    ANOTHER_POD = auto()
    NOTHING = auto()


@dataclass(frozen=True, kw_only=True)
class PodTrouble:
    """What keeps a pod from its work.

    Attributes
    ----------
    cause
        In a word: mostly Kubernetes' own.
    words
        In a sentence.
    since
        When its Job was made, or ended.
    """

    remedy: Remedy
    cause: str
    words: str
    since: datetime


def trouble_of(job: V1Job, pod: V1Pod | None, events: Sequence[CoreV1Event]) -> PodTrouble | None:
    """Return the trouble of a Job's pod; None where it works, or has done its work.

    Parameters
    ----------
    pod
        The Job's pod, if there is one.
    events
        Warnings about the Job and its pods, the oldest first.
    """
    failure = next((one for one in job.status.conditions or [] if one.type == "Failed" and one.status == "True"), None)
    made = job.metadata.creation_timestamp
    ended = (failure and failure.last_transition_time) or made
    if failure is not None and failure.reason == "DeadlineExceeded":
        words = f"it took longer than the {job.spec.active_deadline_seconds} seconds that a Job may take"
        return PodTrouble(remedy=Remedy.NOTHING, cause=failure.reason, words=words, since=ended)
    if failure is not None:
        cause, words = _ended(pod) if pod is not None else _removed(events)
        # What memory a run needs does not depend on what it copies: another run would need as much.
        remedy = Remedy.NOTHING if cause == OUT_OF_MEMORY else Remedy.ANOTHER_POD
        return PodTrouble(remedy=remedy, cause=cause, words=words, since=ended)
    if pod is None:
        return _unmade(events, since=made)
    return _waiting(pod, events, since=made) if pod.status.phase == "Pending" else None


def _ended(pod: V1Pod) -> tuple[str, str]:
    """Return why a pod failed: in a word, and in a sentence."""
    if pod.status.reason:
        return pod.status.reason, f"its pod was ended ({pod.status.reason}): {_line(pod.status.message)}"
    container = next((one for one in _containers(pod) if one.state.terminated), None)
    if container is None:
        return "Lost", "its node lost its pod"
    ended = container.state.terminated
    if ended.reason == OUT_OF_MEMORY:
        return _out_of_memory(pod, container.name)
    moved = next((one for one in pod.status.conditions or [] if one.type == "DisruptionTarget"), None)
    if moved is not None:
        return moved.reason, f"its pod was removed: {_line(moved.message)}"
    return ended.reason or "Error", f"its pod's process ended with exit code {ended.exit_code}"


def _out_of_memory(pod: V1Pod, name: str) -> tuple[str, str]:
    """Return whether a container was killed for its own memory limit, or because its node had no memory left."""
    resources = [one.resources for one in pod.spec.containers if one.name == name and one.resources]
    limit = next((one.limits["memory"] for one in resources if "memory" in (one.limits or {})), None)
    if limit is None:
        return NODE_OUT_OF_MEMORY, "its pod was killed: its node had no memory left, and it has no limit of its own"
    return OUT_OF_MEMORY, f"its pod was killed: it needed more memory than its limit of {limit}"


def _removed(events: Sequence[CoreV1Event]) -> tuple[str, str]:
    """Return why a pod was removed, as far as its events say."""
    said = next((one for one in reversed(events) if one.reason in REMOVALS), None)
    return (said.reason, f"its pod was removed: {_line(said.message)}") if said else ("Deleted", "its pod was deleted")


def _unmade(events: Sequence[CoreV1Event], *, since: datetime) -> PodTrouble | None:
    """Return why a Job has no pod yet: mostly because of a quota."""
    refused = next((one for one in reversed(events) if one.reason == "FailedCreate"), None)
    if refused is None:
        return None
    said = _line(refused.message).rpartition("is forbidden: ")[2]  # without the pod's name, another one at each try
    words = f"its pod cannot be created: {said}"
    return PodTrouble(remedy=Remedy.TIME, cause=refused.reason, words=words, since=since)


def _waiting(pod: V1Pod, events: Sequence[CoreV1Event], *, since: datetime) -> PodTrouble | None:
    """Return what a pod that has not begun waits for: a node, its image, a volume."""
    for one in pod.status.conditions or []:
        if one.type == "PodScheduled" and one.status == "False":
            words = f"no node can take its pod: {_line(one.message).partition('. ')[0]}"
            return PodTrouble(remedy=Remedy.TIME, cause=one.reason, words=words, since=since)
    for container in _containers(pod):
        if container.state.waiting and container.state.waiting.reason in NEVER | PULLING:
            return _not_made(container, since=since)
    failed = next((one for one in reversed(events) if one.reason in {"FailedMount", "FailedAttachVolume"}), None)
    if failed is None:
        return None
    words = f"a volume of its pod cannot be mounted: {_line(failed.message)}"
    return PodTrouble(remedy=Remedy.TIME, cause=failed.reason, words=words, since=since)


def _not_made(container: V1ContainerStatus, *, since: datetime) -> PodTrouble:
    waiting = container.state.waiting
    said = _line(waiting.message).rpartition("desc = ")[2]
    if waiting.reason in PULLING:
        is_there = not any(words in said for words in NO_SUCH_IMAGE)
        words = f"its image {container.image} cannot be pulled: {said}"
        return PodTrouble(
            remedy=Remedy.TIME if is_there else Remedy.NOTHING, cause="ImagePull", words=words, since=since
        )
    words = f"its container cannot be started ({waiting.reason}): {said}"
    return PodTrouble(remedy=Remedy.NOTHING, cause=waiting.reason, words=words, since=since)


def _containers(pod: V1Pod) -> Sequence[V1ContainerStatus]:
    return pod.status.container_statuses or []


def _line(text: str | None) -> str:
    """Return a message as one printable line that ends like part of a sentence."""
    return printable(" ".join((text or "no reason was given").split()).rstrip(". "))
