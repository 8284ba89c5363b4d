"""Metrics for Prometheus: of the records, the same from every replica, and of each replica's own calls."""
