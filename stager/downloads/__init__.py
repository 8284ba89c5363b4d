"""Downloads: a file or a directory is the answer, recorded like every staging.

``stager.callers.open_source`` opens it beneath its area, ``representation`` says what the answer
is made of, ``conditions`` and ``ranges`` read what the client asks for,
``pipe`` hands the bytes to the server without touching them, ``ledger`` writes
the records.
"""

from stager.downloads.desk import Desk, OpenDesk, open_desk

__all__ = ["Desk", "OpenDesk", "open_desk"]
