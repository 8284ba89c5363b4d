"""What holds of every block of ours, beside what Prefect asks of all."""

from __future__ import annotations

from prefect.blocks.core import Block
from prefect.testing.standard_test_suites.blocks import BlockStandardTestSuite


class OurBlockSuite(BlockStandardTestSuite):
    def test_has_a_valid_image(self, block: type[Block]) -> None:
        """Prefect's pages would fetch it from another site, and they ask nobody."""
        assert block.get_description()
        assert block._logo_url is None  # noqa: SLF001 - as the suite asks

    def test_every_field_has_a_title_of_its_own(self, block: type[Block]) -> None:
        titles = [field.title for field in block.model_fields.values()]
        assert None not in titles
        assert len(set(titles)) == len(titles)
