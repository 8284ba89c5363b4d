"""How long tests wait for what must come: it says that something hangs, not how fast it is to be."""

PATIENCE = 400.0  # seconds; a machine that does much else besides takes long
