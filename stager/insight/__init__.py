"""What people look at: why a request waits, live streams, metrics, logs, health."""
