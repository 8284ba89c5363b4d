"""How a checksum is written, at every door."""

from __future__ import annotations

import re

import pytest
from pydantic import TypeAdapter

from stager.checksums import Checksum
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
