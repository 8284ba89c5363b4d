"""The figures of the records: each ended request is read and counted once."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from stager.insight.metrics.tally import Tally
from stager.methods.all_methods import METHODS
from stager.methods.jupyter_copy import JupyterCopy
from stager.records.database import Database, database_time
from stager.records.downloads import DIRECT_DOWNLOAD
from stager.records.insight import Backlog, Starting, backlogs, fold_endings, starting

# How long after its time stamp an ending may still appear: a transaction commits
# later than it reads the clock.
SETTLED_AFTER = timedelta(minutes=1)
METHOD_NAMES = (*sorted(METHODS), DIRECT_DOWNLOAD)
TO_HUBS = (JupyterCopy.name,)


@dataclass(frozen=True)
class RecordedFigures:
    """The figures of the records at a moment."""

    tally: Tally
    backlogs: Sequence[Backlog]
    starting: Sequence[Starting]


class RecordedMetrics:
    """Reads the records' figures, each time only what is new since the last.

    Every replica comes to the same figures, whenever it started: the first
    reading counts all that is on record.
    """

    def __init__(self) -> None:
        self._settled = Tally()
        self._until: datetime | None = None
        self._lock = threading.Lock()

    def read(self, database: Database) -> RecordedFigures:
        """Return the figures as they are now; blocks while the database answers.

        Raises
        ------
        DatabaseUnavailable
            The database stayed away; what was counted stays.
        """
        with self._lock:
            settles = database_time(database) - SETTLED_AFTER
            self._settled = self._folded(database, after=self._until, until=settles)
            self._until = settles
            tally = self._folded(database, after=settles, until=None)
        return RecordedFigures(tally, backlogs(database), starting(database, to_hubs=TO_HUBS))

    def _folded(self, database: Database, *, after: datetime | None, until: datetime | None) -> Tally:
        fold, methods = self._settled.with_more, METHOD_NAMES
        return fold_endings(database, fold, methods=methods, to_hubs=TO_HUBS, after=after, until=until)
