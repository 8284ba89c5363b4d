"""What an answer's headers say of a file: its name, its checksum, its tag."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import quote

# As the "Hash Algorithms for HTTP Digest Fields" registry calls them.
_REGISTERED = {"adler32": "adler", "sha256": "sha-256"}


class Checksum(NamedTuple):
    """A checksum in hexadecimal digits, and what it was computed by: ``adler32`` or ``sha256``."""

    algorithm: str
    digits: str


def content_disposition(name: bytes) -> str:
    r"""Return the header's value for a file to be saved under a name.

    Parameters
    ----------
    name
        The name's bytes; what is not UTF-8 in it becomes U+FFFD.

    Notes
    -----
    RFC 6266: ``filename`` for old clients, in ASCII and quoted; ``filename*``
    in RFC 8187's form where that says less than the name. A percent sign in
    the first is decoded by some clients (appendix D), so the second is sent then too.
    """
    text = name.decode("utf-8", "replace")
    plain = "".join(c if c.isascii() and c.isprintable() else "_" for c in text)
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    is_enough = plain == text and "%" not in text
    extended = "" if is_enough else f"; filename*=UTF-8''{quote(text, safe='')}"
    return f'attachment; filename="{quoted}"{extended}'


def repr_digest(checksum: Checksum) -> str:
    """Return the value of Repr-Digest: the checksum of the whole file, whichever part is sent.

    Notes
    -----
    RFC 9530, section 3: a dictionary of byte sequences. Adler-32 is there as
    ``adler``, four bytes, the most significant first; it finds accidents only.
    """
    value = base64.b64encode(bytes.fromhex(checksum.digits)).decode("ascii")
    return f"{_REGISTERED[checksum.algorithm]}=:{value}:"


def strong_tag(checksum: Checksum, *, size_bytes: int, mtime_ns: int) -> str:
    """Return the entity tag of a file whose checksum is known.

    Adler-32 alone does not tell short files apart well enough to splice two
    parts of one: the size and the time of the last change are in it too.
    """
    if checksum.algorithm == "sha256":
        return f'"sha256-{checksum.digits}"'
    return f'"{checksum.algorithm}-{checksum.digits}-{size_bytes:x}-{mtime_ns:x}"'


def times_tag(kind: str, fingerprint: str, *, is_settled: bool) -> str:
    """Return the entity tag of what nobody has read yet, from sizes, times and inode numbers.

    It is weak as long as another change could leave the same times.
    """
    return f'{"" if is_settled else "W/"}"{kind}-{fingerprint[:32]}"'
