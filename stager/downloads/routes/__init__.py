"""Routes of downloads and listings."""
