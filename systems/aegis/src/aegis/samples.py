"""Sample transcripts: calls with made-up figures, so that a demonstration needs nobody's data.

Fourteen banks, two quarters each. They look like what speech recognition gives: one line a file, no labels. The same
code always writes the same bytes, whatever the folder and the day.
"""

from __future__ import annotations

import random
import sys
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from aegis.ingest import Availability
from aegis.institutions import Institution, load_institutions

PERIODS: tuple[tuple[int, str], ...] = ((2025, "Q2"), (2025, "Q1"))
"""The periods of which every sample bank has a transcript."""
_ORDINALS = {"Q1": "first", "Q2": "second", "Q3": "third", "Q4": "fourth"}
_OPERATORS = ("Audra", "Denise", "Regina", "Chloe", "Gary", "Lisa")
_EXCHANGES = 7

# Ranges of the figures: (least, most, decimals). Plausible for a large bank, true of none.
_FIGURES: dict[str, tuple[float, float, int]] = {
    "net_income": (0.9, 4.8, 1),
    "eps": (1.05, 4.6, 2),
    "eps_growth": (3, 16, 0),
    "revenue": (4.1, 15.8, 1),
    "revenue_growth": (2, 11, 0),
    "roe": (11.2, 17.4, 1),
    "ppnr_growth": (3, 14, 0),
    "new_clients": (35, 180, 0),
    "digital": (58, 79, 0),
    "branches": (6, 28, 0),
    "bankers": (60, 320, 0),
    "ai_cases": (20, 90, 0),
    "tbv_growth": (5, 13, 0),
    "sale": (1.1, 6.4, 1),
    "flows": (3.2, 21.5, 1),
    "nii": (2.1, 6.9, 1),
    "nii_growth": (1, 5, 0),
    "nim_change": (2, 11, 0),
    "nim": (2.15, 3.45, 2),
    "deposit_cost": (4, 19, 0),
    "beta": (33, 52, 0),
    "swaps": (2, 9, 0),
    "loan_growth": (1, 3, 1),
    "utilization": (31, 44, 1),
    "card_growth": (3, 9, 0),
    "deposit_growth": (1, 6, 0),
    "nib": (19, 29, 0),
    "pipeline": (8, 26, 0),
    "fee_growth": (3, 12, 0),
    "fees": (1.2, 6.1, 1),
    "ib": (140, 980, 0),
    "ib_growth": (4, 22, 0),
    "trading_growth": (5, 24, 0),
    "card_fee_growth": (3, 10, 0),
    "mortgage": (35, 190, 0),
    "expenses": (2.2, 8.9, 1),
    "expense_growth": (2, 6, 0),
    "efficiency": (51.2, 62.8, 1),
    "leverage": (60, 310, 0),
    "headcount": (1, 3, 0),
    "severance": (18, 75, 0),
    "provision": (210, 890, 0),
    "build": (25, 190, 0),
    "nco": (24, 52, 0),
    "nco_before": (27, 58, 0),
    "npl": (38, 92, 0),
    "criticized": (2, 11, 0),
    "delinquency": (1.9, 3.1, 2),
    "delinquency_change": (3, 14, 0),
    "allowance": (1.32, 1.94, 2),
    "office": (7.1, 12.6, 1),
    "cet1": (10.6, 14.2, 1),
    "cet1_change": (6, 31, 0),
    "buyback": (150, 950, 0),
    "dividends": (220, 990, 0),
    "dividend_growth": (4, 10, 0),
    "lcr": (112, 138, 0),
    "excess": (120, 290, 0),
    "tax": (18.5, 22.4, 1),
    "front_book": (110, 190, 0),
    "promo": (6, 14, 0),
    "office_share": (1.4, 3.6, 1),
    "target": (10.1, 11.5, 1),
    "utilization_value": (400, 1900, 0),
    "savings": (90, 420, 0),
    "ai_saving": (8, 21, 0),
    "flows_growth": (6, 24, 0),
    "spend": (3, 7, 0),
    "score": (9, 24, 0),
    "digital_spend": (20, 85, 0),
}


def write_samples(folder: Path) -> list[Path]:
    """Writes the sample transcripts into a folder (made where missing) and returns their paths in order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for institution in load_institutions().values():
        for fiscal_year, quarter in PERIODS:
            path = folder / f"{institution.symbol}_{fiscal_year}_{quarter}.txt"
            path.write_bytes(sample_call(institution, fiscal_year, quarter).encode())
            paths.append(path)
    return paths


def other_availability() -> list[Availability]:
    """What other databases hold of the sample banks: also of quarters that have no transcript and so no gap."""
    rows: list[Availability] = []
    for symbol in load_institutions():
        rows.append(
            Availability(bank_symbol=symbol, fiscal_year=2025, quarter="Q2", database_names=("rts", "supplementary"))
        )
        rows.append(
            Availability(bank_symbol=symbol, fiscal_year=2024, quarter="Q4", database_names=("benchmarking", "rts"))
        )
    return rows


def sample_call(institution: Institution, fiscal_year: int, quarter: str) -> str:
    """One call, of about 2,500 to 3,500 words on one line."""
    phrases = _phrases()
    # A string seeds the same way in every version and process, unlike a hash.
    dice = random.Random(f"{institution.symbol} {fiscal_year} {quarter}")  # noqa: S311  (samples, not secrets)
    figures = _figures(dice)
    chief, treasurer, relations = dice.sample(phrases["executives"], 3)
    first = {name: name.split()[0] for name in (chief, treasurer, relations)}
    operator = dice.choice(_OPERATORS)
    period = f"{_ORDINALS[quarter]} quarter {fiscal_year}"

    def fill(sentences: list[str]) -> list[str]:
        return [sentence.format(**figures) for sentence in sentences]

    words = [
        f"Good morning, and welcome to the {institution.name} {period} earnings conference call.",
        f"My name is {operator}, and I will be your operator today.",
        "This is a sample call with made-up figures.",
        "All participants are in a listen-only mode, and this call is being recorded.",
        f"I will now turn the call over to {relations}, Head of Investor Relations.",
        f"Thank you, {operator}, and good morning.",
        "Our remarks include forward-looking statements, and the risks to them are described in our filings.",
        "We also refer to non-GAAP measures, which are reconciled in our earnings release.",
        f"With that, I will turn the call over to {chief}.",
        f"Thank you, {first[relations]}, and good morning, everyone.",
        *fill(_most(dice, phrases["opening"], 0.85)),
        f"With that, I'll hand it over to {treasurer}.",
        f"Thank you, {first[chief]}.",
        *fill(_most(dice, phrases["cfo"], 0.9)),
        "Let me close with our outlook.",
        *fill(_most(dice, phrases["guidance"], 0.9)),
        *phrases["closing"],
        "We will now open the line for questions.",
    ]
    exchanges = dice.sample(phrases["exchange"], _EXCHANGES)
    analysts = dice.sample(phrases["analysts"], _EXCHANGES)
    for index, (exchange, analyst) in enumerate(zip(exchanges, analysts, strict=True)):
        handoff = phrases["handoffs"][0].replace("next", "first") if index == 0 else dice.choice(phrases["handoffs"])
        words += [
            handoff.format(analyst=analyst, firm=dice.choice(phrases["firms"])),
            dice.choice(
                [
                    "Good morning, and thanks for taking my question.",
                    "Hi, good morning.",
                    "Thanks, good morning, everyone.",
                ]
            ),
            *fill(exchange["question"]),
            f"{dice.choice(['Good morning', 'Hi', 'Thanks for the question'])}, {analyst.split()[0]}.",
            *fill(exchange["answer"]),
            *dice.sample(phrases["color"], 4),
            dice.choice(["Got it, that's helpful.", "Okay, thank you.", "That makes sense."]),
            *fill(exchange["follow"]),
            *fill(exchange["follow_answer"]),
            *dice.sample(phrases["color"], 3),
            "Great, thank you.",
        ]
    words += [
        "There are no further questions at this time.",
        f"I will turn the call back to {chief} for closing remarks.",
        "Thank you all for your time this morning, and we look forward to speaking with you next quarter.",
        f"This concludes the {institution.name} {period} earnings conference call.",
        "You may now disconnect.",
    ]
    return " ".join(words)


def _most(dice: random.Random, sentences: list[str], share: float) -> list[str]:
    """Most of the sentences, in their order."""
    kept = sorted(dice.sample(range(len(sentences)), round(len(sentences) * share)))
    return [sentences[index] for index in kept]


def _figures(dice: random.Random) -> dict[str, str]:
    """A bank-quarter's figures, the guided ranges among them, as they are spoken."""
    figures = {name: f"{dice.uniform(least, most):.{decimals}f}" for name, (least, most, decimals) in _FIGURES.items()}
    for name, least, most, width in (
        ("nii", 2, 6, 2),
        ("exp", 2, 4, 1),
        ("nco", 28, 44, 8),
        ("nim", 2, 5, 3),
        ("buy", 200, 700, 150),
    ):
        low = dice.randint(least, most)
        figures[f"g_{name}_low"], figures[f"g_{name}_high"] = str(low), str(low + width)
    return figures


@cache
def _phrases() -> dict[str, Any]:
    return tomllib.loads(files("aegis").joinpath("sample_phrases.toml").read_text(encoding="utf-8"))


def main(arguments: list[str]) -> int:
    """`python -m aegis.samples FOLDER`."""
    if len(arguments) != 1:
        print("usage: python -m aegis.samples FOLDER", file=sys.stderr)  # noqa: T201  (a command's own output)
        return 2
    paths = write_samples(Path(arguments[0]))
    print(f"{len(paths)} sample transcripts in {arguments[0]}")  # noqa: T201
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
