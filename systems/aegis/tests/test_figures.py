"""The table of figures: which amount of a quote is its level, which its change, and which is neither."""

from __future__ import annotations

import pytest

from aegis.reports.figures import change_of, figures, level_of
from systems.aegis.tests.calls import sample, written


@pytest.mark.parametrize(
    ("label", "quote", "level", "change"),
    [
        ("CET1 ratio", "We ended with a CET1 ratio of 10.7%, up 40 basis points versus the prior quarter.",
         "10.7%", "up 40 basis points versus the prior quarter"),
        ("CET1 ratio", "Our CET1 capital ratio increased 10 basis points from the prior quarter to 10.6%.",
         "10.6%", "increased 10 basis points from the prior quarter"),
        ("Earnings per share", "The firm reported net income of $14 billion, EPS of $4.81 on revenue of 43.7 billion.",
         "$4.81", None),
        ("Net income", "The firm reported net income of $14 billion, EPS of $4.81 on revenue of 43.7 billion.",
         "$14 billion", None),
        ("Revenue", "The firm reported net income of $14 billion, EPS of $4.81 on revenue of 43.7 billion.",
         "43.7 billion", None),
        ("Net charge-offs", "Net charge-offs as a percentage of loans decreased five basis points to 47 basis points.",
         "47 basis points", "decreased five basis points"),
        ("Reserves", "Our allowance totaled $5.2 billion, or 1.64% of total loans.", "1.64%", None),
        ("Reserves", "A modest reserve release of $53 million was taken.", None, "release of $53 million"),
        ("Share repurchases", "We executed $144 million in share repurchases and paid $224 million in dividends.",
         "$144 million", None),
        ("Total expenses", "Non-interest expense of $3.5 billion increased $179 million, or 5%.",
         "$3.5 billion", "increased $179 million, or 5%"),
        ("Non-performing and criticized", "Non-performing loans decreased $252 million, or 10%, linked quarter.",
         None, "decreased $252 million, or 10%, linked quarter"),
        # What a figure is not: another's, a segment's, a yield's, what is guided, what is authorised, the year's.
        ("Net interest income", "Revenue increased 2.1% linked quarter due to net interest income.", None, None),
        ("Net income", "CCB reported net income of $4.5 billion.", None, None),
        ("Loans", "The yield on total loans decreased 26 basis points to 5.87%.", None, None),
        ("Total expenses", "Expenses up 3% to 5%, at the midpoint of the range.", None, None),
        ("Total expenses", "We expect expenses to be $4.2 billion.", None, None),
        ("Share repurchases", "The repurchase program was increased to $1.5 billion.", None, None),
        ("Total expenses", "Full-year expenses were $16.8 billion.", None, None),
        ("CET1 ratio", "We improved the efficiency ratio to 59.9%.", None, None),
    ],
)  # fmt: skip
def test_what_a_quote_gives(label: str, quote: str, level: str | None, change: str | None) -> None:
    found = level_of(label, quote)
    assert (found.text if found else None, change_of(label, quote)) == (level, change)


@pytest.mark.asyncio
async def test_rows_are_in_the_reports_order_with_the_previous_calls_level() -> None:
    transcript = sample()
    sections = await written(transcript, "Call Summary")
    rows = figures(sections, transcript)
    labels = [block.label for section in sections[1:] for block in section.blocks]
    assert [row.label for row in rows] == [label for label in labels if label in {row.label for row in rows}]
    (cet1,) = [row for row in rows if row.label == "CET1 ratio"]
    assert cet1.level
    assert cet1.change
    assert cet1.earlier
    assert transcript.previous is not None
    assert f"Our CET1 ratio ended the quarter at {cet1.level.text}, {cet1.change.text}" in transcript.text
    assert f"Our CET1 ratio ended the quarter at {cet1.earlier.text}" in transcript.previous.text


@pytest.mark.asyncio
async def test_levels_of_two_kinds_or_senses_are_not_put_beside_one_another() -> None:
    transcript = sample()
    sections = await written(transcript, "Call Summary")
    for row in figures(sections, transcript):
        if row.level and row.earlier:
            assert ("%" in row.level.text) == ("%" in row.earlier.text)
            assert ("$" in row.level.text) == ("$" in row.earlier.text)
    assets, equity = "We had a return on average assets of 1.2%.", "We had a return on tangible common equity of 18%."
    first, second = level_of("Returns", assets), level_of("Returns", equity)
    assert first
    assert second
    assert first.kind == second.kind
    assert first.sense != second.sense


@pytest.mark.asyncio
async def test_key_themes_and_guidance_give_no_rows() -> None:
    transcript = sample()
    assert figures(await written(transcript, "Key Themes"), transcript) == []
    (guidance,) = [one for one in await written(transcript, "Call Summary") if one.topic == "guidance"]
    assert figures([guidance], transcript) == []
