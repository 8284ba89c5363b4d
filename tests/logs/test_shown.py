"""What others chose, in Prefect's pages, which show it as Markdown: the words themselves, and nothing else."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis.strategies import characters, text
from markdown_it import MarkdownIt

from tasks.shown import as_text

MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
TRICKS = [
    "![x](https://evil.example/pixel.png)",
    "[Click](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "<https://evil.example>",
    "# Heading",
    "- list",
    "1. list",
    "> quote",
    "| a | b |",
    "**bold** __bold__ _it_ ~~no~~ `code`",
    "&lt;b&gt; &#x3c;",
    "[a]: https://evil.example",
    r"\![x](y) \\![x](y)",
    "```",
    "***",
    "~/a~ b~",
]


def escaped(words: str) -> str:
    """Return words as HTML that says them."""
    return html.escape(words, quote=False).replace('"', "&quot;")


def rendered(words: str) -> str:
    return str(MARKDOWN.render(as_text(words))).strip()


@pytest.mark.parametrize("words", TRICKS)
def test_markdown_and_html_of_others_are_shown_as_their_words(words: str) -> None:
    assert rendered(words) == f"<p>{escaped(words)}</p>"


@given(text(characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_no_words_of_others_are_more_than_words(words: str) -> None:
    assert rendered(words) == f"<p>{escaped(words)}</p>"


@pytest.mark.parametrize("address", ["https://evil.example/a", "www.evil.example", "a@evil.example"])
def test_no_address_of_others_is_where_a_page_would_look_for_one(address: str) -> None:
    assert all(mark not in as_text(address) for mark in ("https:", "www.", "a@"))


@pytest.mark.parametrize(
    "words",
    [
        "night-1/J1939-6342_I.fits",
        "survey/field+2/a=b/uv.ms",
        "~/a.fits",
        "Source path does not exist: /storage/a.fits",
    ],
)
def test_usual_words_are_shown_as_they_are_also_where_markdown_is_not_read(words: str) -> None:
    assert as_text(words) == words


def test_line_breaks_of_others_begin_no_paragraph_and_no_row() -> None:
    assert rendered("a\n\n# b\x1b[2J") == r"<p>a\n\n# b\x1b[2J</p>"
