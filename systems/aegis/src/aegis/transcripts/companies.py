"""The names by which banks are called in their own calls, for checking that a file holds the call it says it holds.

Public names and spoken forms, with a few common mis-hearings of speech recognition. A name that also belongs to a
broker's research arm ("TD Cowen", "RBC Capital Markets") excludes that use: analysts' firms are named in every call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

_COMPANIES: dict[str, tuple[str, str]] = {
    # Canadian banks
    "RY": ("Royal Bank of Canada", r"royal bank|RBC(?! capital| dominion| europe)"),
    "BMO": ("Bank of Montreal", r"bank of montreal|BMO(?! capital)"),
    "CM": ("Canadian Imperial Bank of Commerce", r"CIBC(?! (?:capital|world))|canadian imperial"),
    "TD": ("The Toronto-Dominion Bank", r"TD(?! (?:cow[ae]n|securities))|toronto[- ]dominion"),
    "BNS": ("The Bank of Nova Scotia", r"scotia ?bank|bank of nova scotia"),
    "NA": ("National Bank of Canada", r"national bank(?! financial)"),
    "LB": ("Laurentian Bank of Canada", r"laurentian"),
    # US banks
    "JPM": ("JPMorgan Chase", r"j\.? ?p\.? ?morgan|jpmorgan"),
    "BAC": ("Bank of America", r"bank ?of ?america|bofa"),
    "WFC": ("Wells Fargo", r"wells ?fargo"),
    "C": ("Citigroup", r"citi(?:group|bank)?(?=\b)"),
    "GS": ("Goldman Sachs", r"goldman"),
    "MS": ("Morgan Stanley", r"morgan ?stanley"),
    "USB": ("U.S. Bancorp", r"u\.?s\.? ?banc(?:orp)?|u\.?s\.? bank|usbank"),
    # further banks and card companies of the transcripts' ticker list
    "AXP": ("American Express", r"american express|amex|americanexpress"),
    "BK": ("BNY", r"b[nm]y(?: mellon)?|bank of new york"),
    "CFG": ("Citizens Financial Group", r"citizens(?! (?:jmp|bank))|citizens financial"),
    "COF": ("Capital One", r"capital ?one(?! securities)"),
    "FITB": ("Fifth Third", r"fifth third|53\.com"),
    "HBAN": ("Huntington Bancshares", r"huntington"),
    "KEY": ("KeyCorp", r"key ?corp|key ?bank|key\.com"),
    "MTB": ("M&T Bank", r"m ?(?:&|and|n) ?t(?: bank)?|mtb"),
    "NTRS": ("Northern Trust", r"northern ?trust"),
    "PNC": ("PNC", r"pnc"),
    "RF": ("Regions Financial", r"regions?(?:['’]s)? financial|regions|region['’]s"),
    "SCHW": ("Charles Schwab", r"schwab|aboutschwab"),
    "STT": ("State Street", r"state ?street"),
    "SYF": ("Synchrony", r"synchrony"),
    "TFC": ("Truist", r"truist(?! securities)"),
}

# What shows that a call is introduced as somebody's own.
_BEFORE = (
    r"(?:welcome\b[^.?]{0,50}?\bto|hosted by|on behalf of|call for|"
    r"joining)\s+(?:today['’]s\s+)?(?:the\s+)?(?:20\d\d\s+)?"
)
_AFTER = (
    r"(?:['’]?s)?(?:\s+(?:corporation|corp|group|inc|bancshares|incorporated|company|bank))*[.,]?(?:['’]s)?\s+"
    r"(?:\S+\s+){0,6}?(?:earnings|results|conference call|business update|investor relations)"
)


@dataclass(frozen=True, kw_only=True)
class Company:
    """A company and how it is recognised: `named` any mention, `introduced` a mention as the call's own company."""

    ticker: str
    name: str
    named: re.Pattern[str]
    introduced: re.Pattern[str]


@cache
def companies() -> dict[str, Company]:
    """All companies that the table knows, by ticker. Patterns are compiled at the first call."""
    return {ticker: company(ticker, name, alias) for ticker, (name, alias) in _COMPANIES.items()}


def company(ticker: str, name: str, alias: str | None = None) -> Company:
    """A company from its alias pattern; without one, from its full name less its legal form."""
    if alias is None:
        core = re.sub(
            r"(?i)^the\s+|[,.]?\s+(?:inc|corp|corporation|company|group|& co|ltd|plc|financial)\b.*$", "", name
        )
        alias = re.escape(core or name)
    named = rf"(?<![\w&])(?:{alias})(?!\w)"
    return Company(
        ticker=ticker,
        name=name,
        named=re.compile(named, re.IGNORECASE),
        introduced=re.compile(rf"{_BEFORE}{named}|{named}{_AFTER}", re.IGNORECASE),
    )
