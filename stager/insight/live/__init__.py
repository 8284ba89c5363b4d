"""Requests as they go on, told to whoever watches: one look at the database serves all."""
