"""What copies beside the mover, each durable at its end."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from stager import engine
from stager.paths import locate
from stager.runs.batch_size import LARGE_BATCH_SIZE
from stager.vocabulary import ManifestEntry

Copy = Callable[[Path, Path], object]


def ours(
    source: Path,
    destination: Path,
    *,
    known: Iterable[ManifestEntry] | None = None,
    on_file: Callable[[ManifestEntry], None] | None = None,
) -> None:
    """Survey, transfer, seal, flush and publish, as a flow does."""
    there, here = locate(source.parent, source.name), locate(destination.parent, destination.name)
    mine = engine.Modes(file=0o400, directory=0o500, folder=0o700)
    control = engine.Control(lambda _bytes, _files: None, threading.Event())
    survey = engine.survey(there)
    staged = engine.transfer(there, here, survey=survey, modes=mine, control=control, known=known, on_file=on_file)
    engine.seal(staged)
    engine.flush([staged])
    engine.publish({1: engine.Publication(staged=staged, replace=False)}, refuse=lambda _: {})


def ours_one_by_one(source: Path, destination: Path) -> None:
    """Do the same with each file of a tree as an item of its own, in batches, as a run does."""
    files = sorted(str(path.relative_to(source)) for path in source.rglob("*") if path.is_file())
    for start in range(0, len(files), LARGE_BATCH_SIZE):
        _publish_batch(source, destination, files[start : start + LARGE_BATCH_SIZE])


def _publish_batch(source: Path, destination: Path, files: Sequence[str]) -> None:
    mine = engine.Modes(file=0o400, directory=0o500, folder=0o700)
    control = engine.Control(lambda _bytes, _files: None, threading.Event())
    batch = []
    for name in files:
        there, here = locate(source, name), locate(destination.parent, f"{destination.name}/{name}")
        batch.append(engine.transfer(there, here, survey=engine.survey(there), modes=mine, control=control))
        engine.seal(batch[-1])
    engine.flush(batch)
    products = {number: engine.Publication(staged=staged, replace=False) for number, staged in enumerate(batch)}
    engine.publish(products, refuse=lambda _: {})


def copying(source: Path) -> dict[str, Copy]:
    """Return ours and the rivals that are installed, for a file or a tree."""
    if source.is_file():
        return {"ours": ours, "`cp`": _program("cp")}
    found: dict[str, Copy] = {"ours": ours, "`cp -r`": _program("cp", "-r"), "`shutil.copytree`": _copytree}
    if shutil.which("rsync"):
        found["`rsync -a`"] = lambda source, destination: _program("rsync", "-a")(Path(f"{source}/"), destination)
    if shutil.which("rclone"):
        found["`rclone copy`"] = _program("rclone", "copy")
    return found


def sharing(source: Path) -> dict[str, Copy]:
    """Return those that share blocks: ours knows the checksums from an earlier delivery."""
    known: list[ManifestEntry] = []
    earlier = source.with_name("earlier")
    ours(source, earlier, on_file=known.append)
    remove(earlier)
    return {
        "ours": lambda source, destination: ours(source, destination, known=known),
        "`cp --reflink=always`": _program("cp", "-r", "--reflink=always"),
    }


def remove(path: Path) -> None:
    """Remove a copy, and let the file system come to rest."""
    subprocess.run(["rm", "-rf", str(path)], check=True)
    _sync(path.parent)


def _program(*command: str) -> Copy:
    def copy(source: Path, destination: Path) -> None:
        subprocess.run([*command, str(source), str(destination)], check=True, capture_output=True)
        _sync(destination)

    return copy


def _copytree(source: Path, destination: Path) -> None:
    shutil.copytree(source, destination)
    _sync(destination)


def _sync(path: Path) -> None:
    subprocess.run(["sync", "-f", str(path)], check=True)
