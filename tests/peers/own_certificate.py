"""A certificate that nobody else has signed."""

from __future__ import annotations

import subprocess
from pathlib import Path


def own_certificate(folder: Path) -> str:
    """Make ``key.pem`` and ``certificate.pem``, for this machine's loopback, and return the certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    names = ["-subj", "/CN=nobody", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [*made, *names, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate.read_text()
