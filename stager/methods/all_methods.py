"""All staging methods, by their names."""

from __future__ import annotations

from stager.methods import MOUNTED_METHODS, StagingMethod
from stager.methods.jupyter_copy import JupyterCopy
from stager.methods.s3_copy import S3Copy

METHODS: dict[str, StagingMethod] = {**MOUNTED_METHODS, JupyterCopy.name: JupyterCopy(), S3Copy.name: S3Copy()}
