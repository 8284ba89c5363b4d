"""Values of headers about a file: its name, its checksum, its entity tag."""

from __future__ import annotations

import base64
from urllib.parse import quote


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


def repr_digest(adler32: str) -> str:
    """Return the value of Repr-Digest: the Adler-32 of the whole file, given as digits, whichever part is sent.

    Notes
    -----
    RFC 9530, section 3: a dictionary of byte sequences. Adler-32 is there as
    ``adler``, four bytes, the most significant first; it finds accidents only.
    """
    value = base64.b64encode(bytes.fromhex(adler32)).decode("ascii")
    return f"adler=:{value}:"


def strong_tag(adler32: str, *, size_bytes: int, mtime_ns: int) -> str:
    """Return the entity tag of a file whose checksum is known.

    Adler-32 alone does not tell short files apart well enough to splice two
    parts of one: the size and the time of the last change are in it too.
    """
    return f'"adler32-{adler32}-{size_bytes:x}-{mtime_ns:x}"'


def times_tag(kind: str, fingerprint: str, *, is_settled: bool) -> str:
    """Return the entity tag of what was not read yet, from sizes, times and inode numbers.

    It is weak as long as another change could leave the same times.
    """
    return f'{"" if is_settled else "W/"}"{kind}-{fingerprint[:32]}"'
