"""Prefect's server behind a lock: ``python -m deployments.prefect_server``, with SQLite and PostgreSQL alike."""
