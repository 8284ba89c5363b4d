"""The reference of the chart's values."""

from deployments.chart_reference import PAGE, reference


def test_the_reference_is_what_the_schema_says() -> None:
    assert PAGE.read_text() == reference(), "run python -m deployments.chart_reference"
