"""A demo storage area with real products: FITS files, a MeasurementSet, a tree of small files.

It is made once, under a temporary name that is changed at the end: a first start
that was interrupted leaves nothing that looks whole.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

FOLDER = "demo"
MEASUREMENT_SET = "demo.ms"
SMALL_FILES = 2000
SMALL_FILE_FOLDERS = 20
SMALL_FILE_BYTES = 4096
ROWS = 325  # baselines of 26 antennas: enough to be more than an empty table
CHANNELS = 32
POLARISATIONS = 4
SEED = 20250101


def make_products(storage: Path) -> Path:
    """Return the folder of demo products in a storage area, made if it is not there yet."""
    folder = storage / FOLDER
    if not folder.exists():
        unfinished = storage / f".{FOLDER}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        makers: dict[str, Callable[[Path], None]] = {
            "fits": _copy_fits,
            MEASUREMENT_SET: _make_measurement_set,
            "small-files": _make_small_files,
        }
        unfinished.mkdir()
        for name, make in makers.items():
            make(unfinished / name)
        unfinished.rename(folder)
    return folder


def _copy_fits(folder: Path) -> None:
    """Copy the FITS files that astropy's own tests read; finding them does not import astropy."""
    package = find_spec("astropy")
    if package is None or package.origin is None:
        message = "astropy is not installed"
        raise RuntimeError(message)
    folder.mkdir()
    for file in sorted(Path(package.origin).parent.joinpath("io", "fits", "tests", "data").glob("*.fits")):
        shutil.copyfile(file, folder / file.name)


def _make_measurement_set(path: Path) -> None:
    """Make a MeasurementSet of one short integration, with visibilities.

    Notes
    -----
    The columns are those of the MeasurementSet definition, version 2.0
    (CASA memo 229); ``default_ms`` makes all that it requires.
    """
    import numpy as np  # noqa: PLC0415 - only the first start pays for it
    from casacore.tables import default_ms, makearrcoldesc, maketabdesc  # noqa: PLC0415 - likewise

    generator = np.random.default_rng(SEED)
    shape = (ROWS, CHANNELS, POLARISATIONS)
    with closing(default_ms(str(path))) as table:
        visibilities = makearrcoldesc("DATA", 0.0j, valuetype="complex", shape=[CHANNELS, POLARISATIONS])
        table.addcols(maketabdesc(visibilities))
        table.addrows(ROWS)
        noise = generator.normal(size=shape) + 1j * generator.normal(size=shape)
        table.putcol("DATA", noise.astype(np.complex64))
        table.putcol("UVW", generator.normal(scale=1000.0, size=(ROWS, 3)))
        table.putcol("FLAG", np.zeros(shape, dtype=bool))
        table.putcol("TIME", np.full(ROWS, 4.9e9))
        table.flush(recursive=True)


def _make_small_files(folder: Path) -> None:
    generator = random.Random(SEED)  # noqa: S311 - contents, not secrets
    for number in range(SMALL_FILES):
        part = folder / f"part-{number % SMALL_FILE_FOLDERS:02d}"
        part.mkdir(parents=True, exist_ok=True)
        (part / f"file-{number:04d}.dat").write_bytes(generator.randbytes(SMALL_FILE_BYTES))
