"""The warm worker: it executes flow runs in processes that are ready before there is work.

Prefect imports this package by its entry point ``prefect.collections`` and
thereby knows the worker type ``warm``.
"""

from stager.log_records import log_one_line_a_record
from workers.warm import WarmWorker

__all__ = ["WarmWorker"]

log_one_line_a_record()  # in each process of a worker, before it knows a run
