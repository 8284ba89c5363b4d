"""What a retry takes over from the request that it does again."""

from __future__ import annotations

from stager.models import StagingItem, StagingTerms
from stager.records.tables import StagedFile, StagingRequestRow


def terms_again(request: StagingRequestRow) -> StagingTerms:
    """Return a request's terms without its deadline, which has passed or was for that request alone."""
    kept = StagingTerms.model_fields.keys() - {"deadline"}
    return StagingTerms.model_validate({name: getattr(request, name) for name in kept})


def item_again(file: StagedFile) -> StagingItem:
    """Return an item as it was requested."""
    return StagingItem(
        source=file.source,
        destination=file.relative_path,
        checksum=file.expected_checksum and str(file.expected_checksum),
        size_bytes=file.expected_size_bytes,
        expand=file.expand,
    )
