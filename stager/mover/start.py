"""The start of a mover for a user: it is forked, and told its account and its folders."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from stager.errors import MoverNotStarted
from stager.mover.answers import Answers
from stager.mover.channel import Channel, ConnectionLost
from stager.mover.linking import linking_for
from stager.mover.mover import Mover
from stager.mover.replies import StepFailed, reply_of
from stager.mover.starter import born
from stager.paths import Descriptor
from stager.privileges import Account

# How long a mover may take until it is ready, in seconds.
START = 60.0


def start_mover(
    name: str,
    account: Account | None,
    *,
    roots: Mapping[Path, Descriptor],
    linked_from: Collection[Path],
    silence: float,
) -> Mover:
    """Start a mover, and return it once it is ready.

    Parameters
    ----------
    name
        The user's.
    account
        Whom it becomes; None where this process is that account, or can be nobody else.
    roots
        Folders of the user that it gets open: it enters them whatever their area lets users do.
        They stay open as long as it lives.
    linked_from
        Areas whose files may get a further name.
    silence
        How long it may say nothing, in seconds; then it is ended.

    Raises
    ------
    MoverNotStarted
        It could not be started, or may not become the user.
    """
    try:
        channel = Channel(born(), patience=silence)
        ids = account and [account.uid, account.gid, list(account.groups)]
        hello = {"name": name, "account": ids, "roots": [str(root) for root in roots]}
        channel.send(hello, [root.fd for root in roots.values()])
        answer = reply_of(channel.receive(START) or {})
        if isinstance(answer, StepFailed):
            raise answer.error()
        (life,) = channel.descriptors(1)
    except (OSError, ConnectionLost) as error:
        raise MoverNotStarted(name, str(error) or "it ended") from error
    answers = Answers(channel, linking_for(account, linked_from), roots)
    return Mover(name=name, channel=channel, life=life, silence=silence, answers=answers)
