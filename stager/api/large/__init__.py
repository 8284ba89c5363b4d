"""Requests of very many items, taken in piece by piece."""
