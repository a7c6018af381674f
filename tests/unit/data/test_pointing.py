"""Table names in SQL: found outside of texts and comments, and pointed elsewhere."""

from __future__ import annotations

import pytest
from psycopg import sql

from penstock.data.names import mentioned, pointed

TO = {("gold", "daily"): sql.Identifier("s", "daily"), ("Odd", "a.b"): sql.Identifier("s", "a.b")}


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("select * from gold.daily", 'select * from "s"."daily"'),
        ("select GOLD . Daily.cost", 'select "s"."daily".cost'),
        ('from "gold"."daily", "Odd"."a.b"', 'from "s"."daily", "s"."a.b"'),
        ('"GOLD".daily and gold.dailyx and x.gold.daily', '"GOLD".daily and gold.dailyx and x.gold.daily'),
        (
            "'gold.daily' E'\\'gold.daily' $$gold.daily$$ $a$gold.daily$a$",
            "'gold.daily' E'\\'gold.daily' $$gold.daily$$ $a$gold.daily$a$",
        ),
        (
            "-- gold.daily\n/* gold.daily */ daily 'it''s gold.daily'",
            "-- gold.daily\n/* gold.daily */ daily 'it''s gold.daily'",
        ),
        ("%(gold)s.daily", "%(gold)s.daily"),
    ],
)
def test_only_names_of_tables_are_pointed(text: str, then: str) -> None:
    assert pointed(text, TO) == then


def test_names_are_found_in_order() -> None:
    assert mentioned('select "A b", c.d from e -- f') == ["select", "A b", "c", "d", "from", "e"]
