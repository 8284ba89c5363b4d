"""What Prometheus reads: figures from the records, the same at every door, and each door's own calls."""
