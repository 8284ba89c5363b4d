"""Imported once, by the process that children are forked from: everything that a flow run may need.

It opens no connection and starts no thread: neither would survive the fork.
"""

from __future__ import annotations

import gc
import logging
import pkgutil
from importlib import import_module
from types import ModuleType

from sqlalchemy.orm import configure_mappers

from tasks.acting import import_late
from workers.prefect_internals import Readiness

# The doors meet by name, at Prefect's API: no import ties this worker to a flow.
FLOWS = "flows"

logger = logging.getLogger(__name__)


def _import(name: str) -> ModuleType | None:
    try:
        return import_module(name)
    except Exception:  # the run that needs it says so where its user looks
        logger.exception("%s cannot be imported", name)
        return None


import_late()
if _flows := _import(FLOWS):
    for _module in pkgutil.iter_modules(_flows.__path__, f"{FLOWS}."):
        _import(_module.name)
configure_mappers()
readiness = Readiness()
gc.collect()
gc.freeze()  # what is here now stays shared with the children; gc.freeze, Python's manual
