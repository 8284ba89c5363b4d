"""The warm worker: flow runs in processes that are awake before there is work.

Prefect imports this package by its entry point ``prefect.collections`` and
thereby knows the worker type ``warm``.
"""

from workers.warm import WarmWorker

__all__ = ["WarmWorker"]
