"""A cell for a user's notebook, which opens what was staged."""

from __future__ import annotations

from pathlib import PurePosixPath

_FITS = """from pathlib import Path
from astropy.io import fits
hdus = fits.open(Path({path!r}).expanduser())
hdus.info()"""
_MEASUREMENT_SET = """from pathlib import Path
from casacore.tables import table
rows = table(str(Path({path!r}).expanduser()))
rows.summary()"""
_ANY = """from pathlib import Path
staged = Path({path!r}).expanduser()
staged.stat()"""
_BY_SUFFIX = {".fits": _FITS, ".fit": _FITS, ".fts": _FITS, ".ms": _MEASUREMENT_SET}


def cell_that_opens(path: str) -> str:
    """Return Python code that opens a product: FITS by astropy, a MeasurementSet by casacore, anything else by pathlib.

    Parameters
    ----------
    path
        As the user's notebooks have it; a ``~`` at its beginning is their home.
    """
    name = PurePosixPath(path).name.lower().removesuffix(".gz").removesuffix(".fz")
    return _BY_SUFFIX.get(PurePosixPath(name).suffix, _ANY).format(path=path)
