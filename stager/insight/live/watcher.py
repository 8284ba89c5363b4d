"""A watcher of requests, with the news that it has not read yet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from stager.records.insight import LiveEvent, RequestProgress

News = LiveEvent | RequestProgress
# A client that leaves so much unread is disconnected; it may resume where it was.
MAX_UNREAD = 2000


@dataclass(eq=False, kw_only=True)
class Watcher:
    """Receives the news of one request, of one user's requests, or of all.

    Attributes
    ----------
    position
        Events behind this number are told.
    """

    position: int
    request_id: str | None = None
    username: str | None = None
    _unread: asyncio.Queue[News] = field(default_factory=asyncio.Queue)

    @property
    def is_behind(self) -> bool:
        """Whether so much is unread that the rest was dropped."""
        return self._unread.qsize() >= MAX_UNREAD

    def tell(self, news: News) -> None:
        """Keep the news that concern this watcher until it reads them."""
        request_id = news.event.request_id if isinstance(news, LiveEvent) else news.request_id
        is_ours = self.request_id in {None, request_id} and self.username in {None, news.username}
        if is_ours and not self.is_behind:
            self._unread.put_nowait(news)

    async def read(self, *, seconds: float) -> News | None:
        """Return the next news; None when there are none for some seconds."""
        try:
            return await asyncio.wait_for(self._unread.get(), seconds)
        except TimeoutError:
            return None
