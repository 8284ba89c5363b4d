"""How a checksum is written, at every door."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from stager.checksums import Checksum, Sums
from stager.models import ChecksumText

PATTERN = TypeAdapter(ChecksumText).json_schema()["pattern"]
MD5, SHA256 = 8 * "0aB1", 16 * "0aB1"
RIGHT = {
    "adler32:0A1b": ("adler32", "00000a1b"),
    "ADLER32:0a1b2c3d": ("adler32", "0a1b2c3d"),
    "1": ("adler32", "00000001"),
    f"sha256:{SHA256}": ("sha256", SHA256.lower()),
    f"Sha256:{SHA256}": ("sha256", SHA256.lower()),
    SHA256: ("sha256", SHA256.lower()),
    f"md5:{MD5}": ("md5", MD5.lower()),
    MD5: ("md5", MD5.lower()),
}
WRONG = {
    "": "1 to 8 (adler32), 64 (sha256), 32 (md5)",
    "0a1b2c3d4": "1 to 8 (adler32), 64 (sha256), 32 (md5)",
    "xyz": "without its algorithm's name",
    "1\n": "without its algorithm's name",
    "\u0661": "without its algorithm's name",
    10 * "0a1b": "without its algorithm's name",
    "adler32:": "adler32: and 1 to 8 hexadecimal digits",
    f"adler32:{MD5}": "adler32: and 1 to 8 hexadecimal digits",
    f"sha256:{MD5}": "sha256: and 64 hexadecimal digits",
    f"md5: {MD5}": "md5: and 32 hexadecimal digits",
    "sha256": "sha256: and 64 hexadecimal digits",
    f"\u017fha256:{SHA256}": "a checksum is by adler32, sha256, md5",
    "crc32:0a1b2c3d": "a checksum is by adler32, sha256, md5",
    f"adler32:md5:{MD5}": "adler32: and 1 to 8",
}


@pytest.mark.parametrize("text", RIGHT)
def test_a_checksum_is_understood_by_its_name_or_its_length(text: str) -> None:
    assert Checksum.parse(text) == RIGHT[text]
    assert Checksum.parse(str(Checksum.parse(text))) == RIGHT[text]
    assert re.fullmatch(PATTERN, text)


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_checksum_is_refused_with_what_is_wrong_about_it(text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(WRONG[text])):
        Checksum.parse(text)
    assert not re.fullmatch(PATTERN, text)


# What takes a checksum in a process that became its user: Python's own folder may be closed to that user.
LATE = """
import sys
from stager.checksums import Checksum, hasher_for

def told(event, arguments):
    if event in ("import", "open", "ctypes.dlopen"):
        print(event, arguments)

sys.addaudithook(told)
for text in ("0", 32 * "0", 64 * "0"):
    hasher = hasher_for(Checksum.parse(text))
    if hasher:
        hasher.update(b"abc")
        print(hasher.checksum)
"""


def test_a_checksum_is_taken_without_a_late_import() -> None:
    python = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n{LATE}"]
    told = subprocess.run(python, capture_output=True, text=True, check=True)
    assert told.stdout.split() == [
        "md5:900150983cd24fb0d6963f7d28e17f72",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    ]


def test_several_checksums_are_taken_of_the_same_bytes() -> None:
    sums = Sums("sha256", "md5", "sha256", "adler32")
    for block in (b"SIMPLE  =", b"", memoryview(b" T")):
        sums.update(block)
    content = b"SIMPLE  = T"
    assert sums.checksums == {
        "adler32": Checksum("adler32", f"{zlib.adler32(content):08x}"),
        "sha256": Checksum("sha256", hashlib.sha256(content).hexdigest()),
        "md5": Checksum("md5", hashlib.md5(content, usedforsecurity=False).hexdigest()),
    }
