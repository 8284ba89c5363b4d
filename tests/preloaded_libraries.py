"""Imported once, by the process from which `tests.forked` forks those that import our own modules themselves."""

import gc
from importlib import import_module

LIBRARIES = ("alembic.command", "httpx", "prefect.flow_engine", "prefect.task_engine", "pydantic_settings", "sqlmodel")

for _name in LIBRARIES:
    import_module(_name)
gc.freeze()
