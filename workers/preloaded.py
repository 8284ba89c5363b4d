"""Everything that a flow run may need, imported once by the process that children are forked from.

It starts no thread and leaves no connection open, which would not survive the fork.
All share one starter of movers.
"""

from __future__ import annotations

import gc
import io
import logging
from contextlib import suppress
from importlib import import_module

from prefect.logging.handlers import PrefectConsoleHandler
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from blocks.areas import adopt_areas
from stager.errors import DatabaseUnavailable
from stager.mover.starter import keep_starter
from stager.records.runs import fill_statement_cache
from tasks.database import records_database
from workers.installed import FLOWS, flows_of
from workers.prefect_internals import Readiness, complete_models

__all__ = ["adopt_areas", "readiness"]

# Modules that a run would otherwise import while it is under way.
LATE = (
    "anyio._backends._asyncio",
    "encodings.idna",
    "graphviz",
    "prefect.concurrency.services",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "sqlalchemy.dialects.sqlite",
    "websockets.asyncio.client",
)

logger = logging.getLogger(__name__)


def _prepare_statements() -> None:
    try:
        fill_statement_cache(records_database())
    except (DatabaseUnavailable, SQLAlchemyError) as error:  # it is away
        logger.warning("The SQL of runs could not be compiled beforehand, so they are a little slower: %s", error)


for _name in LATE:
    with suppress(ImportError):  # then nothing will ask for it
        import_module(_name)
flows_of(FLOWS)
configure_mappers()
complete_models()
PrefectConsoleHandler(stream=io.StringIO()).handle(logging.makeLogRecord({"msg": "What a first line needs is there"}))
_prepare_statements()
readiness = Readiness()
keep_starter()  # of the movers of all runs
gc.collect()
gc.freeze()  # what is here now stays shared with the children; gc.freeze, Python's manual
