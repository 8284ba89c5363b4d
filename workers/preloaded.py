"""Imported once, by the process that children are forked from: everything that a flow run may need.

It starts no thread and leaves no connection open: neither would survive the fork.
"""

from __future__ import annotations

import gc
import io
import logging
import pkgutil
from importlib import import_module
from types import ModuleType

from prefect.logging.handlers import PrefectConsoleHandler
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import configure_mappers

from blocks.areas import adopt_areas
from stager.errors import DatabaseUnavailable
from stager.records import rehearse
from tasks.database import records_database
from workers.prefect_internals import Readiness, complete_models

__all__ = ["adopt_areas", "readiness"]

# What a run would import while it is under way.
LATE = (
    "anyio._backends._asyncio",
    "graphviz",
    "prefect.concurrency.services",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "sqlalchemy.dialects.sqlite",
    "websockets.asyncio.client",
)
# The doors meet by name, at Prefect's API: no import ties this worker to a flow.
FLOWS = "flows"

logger = logging.getLogger(__name__)


def _import(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except Exception:  # the run that needs it says so where its user looks
        logger.exception("%s cannot be imported", name)
        return None


def _rehearse() -> None:
    try:
        rehearse(records_database())
    except (DatabaseUnavailable, SQLAlchemyError) as error:  # it is away: the runs are a little slower then
        logger.warning("The records cannot be tried beforehand: %s", error)


for _name in LATE:
    _import(_name)
if _flows := _import(FLOWS):
    for _module in pkgutil.iter_modules(_flows.__path__, f"{FLOWS}."):
        _import(_module.name)
configure_mappers()
complete_models()
PrefectConsoleHandler(stream=io.StringIO()).handle(logging.makeLogRecord({"msg": "What a first line needs is there"}))
_rehearse()
readiness = Readiness()
gc.collect()
gc.freeze()  # what is here now stays shared with the children; gc.freeze, Python's manual
