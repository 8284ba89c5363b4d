"""What Prometheus reads: figures from the records, the same from every replica, and each one's own calls."""
