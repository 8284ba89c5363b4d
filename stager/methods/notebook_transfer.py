"""A product gets to a notebook server under its temporary name: its small files together, others by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from stager.checksums import ChecksumAlgorithm
from stager.engine import Control
from stager.engine.source import Source
from stager.methods.notebook_bundle import MAX_BUNDLED_BYTES, Bundle
from stager.methods.notebook_staged import NotebookStaged, temporary_name
from stager.methods.product_files import ProductFile, below, product_files
from stager.methods.product_sums import manifest_entry
from stager.methods.repeated_upload import repeated
from stager.methods.uploads import OnBytes, Uploads
from stager.peers.jupyter import (
    CALLS_AT_ONCE,
    Contents,
    Uploaded,
    is_seen_by_kernel,
    look_by_kernel,
    look_with_checksum,
    upload,
)
from stager.vocabulary import ManifestEntry


def bring(
    contents: Contents,
    source: Source,
    staged: NotebookStaged,
    *,
    algorithms: Sequence[ChecksumAlgorithm],
    on_file: Callable[[ManifestEntry], None],
    control: Control,
) -> None:
    """Bring a source under its temporary name, each file verified, several at once.

    Raises
    ------
    StagingError
        As by `upload`, `lay_out` and `product_files`; nothing is sent any more then.
    """

    def on_arrived(path: str, file: Uploaded) -> None:
        staged.files[path] = file
        on_file(manifest_entry(source, path, file.size_bytes, file.checksums))

    with Uploads(on_arrived, control, at_once=CALLS_AT_ONCE) as uploads:
        _Bringing(contents=contents, source=source, staged=staged, algorithms=algorithms, uploads=uploads).bring()


@dataclass(kw_only=True)
class _Bringing:
    """A source on its way."""

    contents: Contents
    source: Source
    staged: NotebookStaged
    algorithms: Sequence[ChecksumAlgorithm]
    uploads: Uploads[Uploaded]
    has_kernel: bool = False
    bundle: Bundle | None = None

    def bring(self) -> None:
        for each in product_files(self.source):
            if each.is_directory:
                self._make(each.path)
            else:
                self._send(each, below(self.source.display, each.path))
        self._send_bundle()
        self.uploads.finish()

    def _make(self, path: str) -> None:
        self.contents.make_directory(self.staged.path(path))
        self.staged.folders.append(path)
        if not path:
            self.has_kernel = is_seen_by_kernel(self.contents, self.staged.temporary)
        self.uploads.look()

    def _send(self, each: ProductFile, display: str) -> None:
        if self.has_kernel and each.status.st_size <= MAX_BUNDLED_BYTES:
            if self.bundle is not None and not self.bundle.has_room_for(each):
                self._send_bundle()
            if self.bundle is None:
                path = self.staged.place.beside(temporary_name(self.staged.place))
                self.bundle = Bundle(path, self.staged.temporary, self.algorithms)
            self.bundle.add(each, display=display)
            return
        self._send_bundle()
        send = partial(
            upload,
            self.contents,
            path=self.staged.path(each.path),
            source_name=display,
            algorithms=self.algorithms,
            look=look_by_kernel if self.has_kernel else look_with_checksum,
        )
        kept = each.kept()

        def sent(on_bytes: OnBytes) -> dict[str, Uploaded]:
            with kept.content as content:
                if not kept.path:
                    return {kept.path: send(content.fd, on_bytes=on_bytes)}
                return {kept.path: repeated(partial(send, content.fd), on_bytes=on_bytes)}

        self.uploads.begin(sent)

    def _send_bundle(self) -> None:
        if self.bundle is not None:
            self.uploads.begin(partial(self.bundle.brought, self.contents))
            self.bundle = None
