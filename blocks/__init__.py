"""Prefect blocks that operators edit, and the form for staging requests."""
