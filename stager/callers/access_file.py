"""The operator's access file, which is read again whenever it has changed."""

from __future__ import annotations

from pathlib import Path

from stager.callers.access_rules import Rules, read_rules
from stager.errors import ConfigurationError


class AccessFile:
    """Reads the access file, and remembers in which state it was read last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None

    def read(self) -> Rules:
        """Return the rules in the file.

        Raises
        ------
        ConfigurationError
            It is missing or broken.
        """
        self._version = self._look()  # before it is read: what is written meanwhile is read the next time
        return read_rules(self._path)

    def read_if_changed(self) -> Rules | None:
        """Return the rules in the file, None if it is unchanged; a mistake is raised each time until it is mended.

        Raises
        ------
        ConfigurationError
            It is missing or broken.
        """
        if self._look() == self._version:
            return None
        try:
            return self.read()
        except ConfigurationError:
            self._version = None
            raise

    def _look(self) -> tuple[int, int, int]:
        try:
            about = self._path.stat()
        except OSError as error:
            raise ConfigurationError(self._path, error.strerror or str(error)) from error
        return about.st_ino, about.st_size, about.st_mtime_ns
