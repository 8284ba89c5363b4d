"""The staging methods, one a file, all under the contract of ``method.py``.

Here are those between mounted folders, which is all that a mover has a use for; `stager.methods.all_methods` has all.
"""

from stager.methods.local_copy import LocalCopy
from stager.methods.local_symlink import LocalSymlink
from stager.methods.method import (
    ConnectedMethod,
    Item,
    LastCopy,
    LivingAmong,
    OnWait,
    Promise,
    ReadOnlyBy,
    StagingMethod,
    mounted,
)
from stager.methods.symlink_copy import SymlinkCopy

MOUNTED_METHODS: dict[str, LocalCopy | LocalSymlink | SymlinkCopy] = {
    method.name: method for method in (LocalCopy(), LocalSymlink(), SymlinkCopy())
}

__all__ = [
    "MOUNTED_METHODS",
    "ConnectedMethod",
    "Item",
    "LastCopy",
    "LivingAmong",
    "OnWait",
    "Promise",
    "ReadOnlyBy",
    "StagingMethod",
    "SymlinkCopy",
    "mounted",
]
