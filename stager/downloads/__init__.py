"""Downloads: the answer is a file or a directory, and is recorded like every staging.

``stager.callers.open_source`` opens it beneath its area, ``representation`` says what the answer
is made of, ``conditions`` and ``ranges`` read what the client asks for,
``pipe`` hands the bytes to the server without touching them, ``recorder`` writes
the records.
"""

from stager.downloads.shared import CurrentDownloads, Downloads, open_downloads

__all__ = ["CurrentDownloads", "Downloads", "open_downloads"]
