"""The WLCG Tape REST API, version 1, over the same records: see docs/how-to/tape-rest.md."""
