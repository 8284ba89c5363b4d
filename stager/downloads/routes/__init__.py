"""The calls by which bytes and listings are read."""
