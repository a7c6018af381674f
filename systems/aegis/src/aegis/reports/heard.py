"""Names of analysts and firms as speech recognition hears them, set right against lists of known names.

The quote stays as heard; the normalised name stands beside it, and only where it is near enough to be sure.
"""

from __future__ import annotations

from functools import cache

FIRMS = (
    "Autonomous Research",
    "Bank of America",
    "Barclays",
    "BMO Capital Markets",
    "BNP Paribas",
    "BTIG",
    "Canaccord Genuity",
    "CIBC",
    "Citi",
    "Citizens JMP",
    "Compass Point",
    "Cormark Securities",
    "D.A. Davidson",
    "Deutsche Bank",
    "Desjardins",
    "Evercore ISI",
    "Goldman Sachs",
    "HSBC",
    "Jefferies",
    "JPMorgan",
    "Keefe, Bruyette & Woods",
    "KBW",
    "Mizuho",
    "Morgan Stanley",
    "National Bank Financial",
    "Odeon Capital",
    "Oppenheimer",
    "Piper Sandler",
    "Portales Partners",
    "Raymond James",
    "RBC Capital Markets",
    "Redburn Atlantic",
    "Rothschild & Co Redburn",
    "Scotiabank",
    "Seaport Global Securities",
    "Stephens",
    "Stifel",
    "TD Cowen",
    "Truist Securities",
    "UBS",
    "Wells Fargo",
    "William Blair",
    "Wolfe Research",
    "Veritas",
    "Jefferies",
)
ANALYSTS = (
    "Alexander Blostein",
    "Ben Gerlinger",
    "Bernard von Gizycki",
    "Betsy Graseck",
    "Bill Carcache",
    "Brennan Hawken",
    "Brian Bedell",
    "Brian Foran",
    "Christopher McGratty",
    "Chris Kotowski",
    "Craig Siegenthaler",
    "Dan Fannin",
    "David Rochester",
    "David Long",
    "Dave George",
    "Devin Ryan",
    "Don Fandetti",
    "Ebrahim Poonawala",
    "Erika Najarian",
    "Gerard Cassidy",
    "Glenn Schorr",
    "Jeff Adelson",
    "Jeff Harte",
    "Jim Mitchell",
    "John McDonald",
    "John Pancari",
    "Jon Arfstrom",
    "Keith Horowitz",
    "Ken Usdin",
    "Kyle Voigt",
    "Kevin Barker",
    "Manan Gosalia",
    "Mark DeVries",
    "Matt O'Connor",
    "Michael Cyprys",
    "Mihir Bhatia",
    "Mike Mayo",
    "Moshe Orenbuch",
    "Nathan Stein",
    "Peter Winter",
    "Richard Ramsden",
    "Rick Shane",
    "Robert Wildhack",
    "Ryan Nash",
    "Sanjay Sakhrani",
    "Saul Martinez",
    "Scott Siefers",
    "Steven Alexopoulos",
    "Steven Chubak",
    "Terry McEvoy",
    "Vivek Juneja",
    "Ryan Kenny",
    "Chris Allen",
    "Benjamin Budish",
    "Matthew Smith",
    "Mario Mendonca",
    "Meny Grauman",
    "Paul Holden",
    "Doug Young",
    "Gabriel Dechaine",
    "Lemar Persaud",
    "Sohrab Movahedi",
    "Darko Mihelic",
)
_SURE = 84.0
"""Of 100, by rapidfuzz's ratio: the least likeness at which a heard name is taken for a known one."""


@cache
def firm_of(heard: str) -> str | None:
    """The known firm that was heard, or None."""
    return _nearest(heard, FIRMS)


@cache
def analyst_of(heard: str) -> str | None:
    """The known analyst that was heard, or None. A first name alone is nobody."""
    return _nearest(heard, ANALYSTS) if " " in heard else None


def _nearest(heard: str, known: tuple[str, ...]) -> str | None:
    from rapidfuzz import fuzz, process, utils

    found = process.extractOne(heard, known, scorer=fuzz.ratio, processor=utils.default_process, score_cutoff=_SURE)
    return None if found is None else found[0]
