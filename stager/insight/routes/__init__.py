"""Routes that show what goes on."""
