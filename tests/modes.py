"""The modes of what tests deliver, which are those that a site has by default."""

from __future__ import annotations

from stager.engine import Modes

MODES = Modes(file=0o400, directory=0o500, folder=0o700)
