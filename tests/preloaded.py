"""Imported once, by the process that those of `tests.forked` are forked from."""

import gc
from importlib import import_module

from workers.installed import FLOWS, flows_of

for _name in ("granian.cli", "granian.server.mp", "prefect.flow_engine", "prefect.task_engine", "stager.app"):
    import_module(_name)
flows_of(FLOWS)
gc.freeze()
