"""A kernel of a real notebook server makes what was delivered read-only."""

from __future__ import annotations

import stat
from pathlib import Path

from stager.peers.jupyter import Contents, remove_by_kernel, seal


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat(follow_symlinks=False).st_mode)


def test_a_product_is_read_only_with_its_folders_and_no_link_is_followed(
    contents: Contents, folder: str, on_disk: Path
) -> None:
    product, other = on_disk / "a 'product'", on_disk / "other"
    (product / "b").mkdir(parents=True)
    (product / "b" / "data").write_bytes(b"")
    other.write_bytes(b"")
    assert seal(contents, f"{folder}/{product.name}") is None
    assert [mode(path) for path in (product, product / "b", product / "b" / "data")] == [0o555, 0o555, 0o444]
    assert (mode(other), mode(on_disk)) == (0o644, 0o755)
    assert seal(contents, f"{folder}/other") is None
    assert mode(other) == 0o444
    kernels = contents.calls.ask("GET", f"{contents.url}api/kernels", peer="", headers=contents.headers)
    assert kernels.json() == []


def test_what_is_read_only_is_removed_and_no_link_is_followed(contents: Contents, folder: str, on_disk: Path) -> None:
    product, other = on_disk / "product", on_disk / "other"
    (product / "b").mkdir(parents=True)
    other.mkdir()
    for file in (product / "b" / "not-listed.pyc", other / "file"):
        file.write_bytes(b"")
    (product / "b" / "link").symlink_to(other)
    (on_disk / "link").symlink_to(other)
    for inner in (product / "b", product):
        inner.chmod(0o500)
    for name in ("product", "link"):
        assert remove_by_kernel(contents, f"{folder}/{name}") is None
    assert [path.name for path in on_disk.iterdir()] == ["other"]
    assert (other / "file").exists()
    assert "No such file" in str(remove_by_kernel(contents, f"{folder}/product"))


def test_what_could_not_be_sealed_is_said(contents: Contents, folder: str, on_disk: Path) -> None:
    (on_disk / "target").write_bytes(b"")
    (on_disk / "product").mkdir()
    (on_disk / "product" / "link").symlink_to(on_disk / "target")
    assert "could not do it" in str(seal(contents, f"{folder}/product"))
    assert mode(on_disk / "target") == 0o644
