"""Live streams of requests: one poll of the database serves everybody who watches."""
