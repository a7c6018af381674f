"""The bar by labels (points 2, 3, 5, 6, 7, 8): the figures of the held-out labels do not fall under it.

The reports are deterministic, and so are the figures: a change of patterns that costs quality fails here.
`python -m benchmarks aegis_quality` prints them all.
"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from benchmarks.aegis_quality import measure
from benchmarks.aegis_quality.labels import FOLDER, PARTS, Calls, Part
from benchmarks.aegis_quality.scores import Score

# Where the bar of .88 is not reached: what is, so that it does not get worse (docs/benchmarks.md says so too).
REACHED = {"answers in themes good": 0.82}


@pytest.fixture(scope="module")
def scores(real_transcripts: Path) -> dict[Part, list[Score]]:
    return measure(real_transcripts)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", PARTS)
def test_the_bar_is_kept(scores: dict[Part, list[Score]], part: Part) -> None:
    below = {
        score.what: (score.hits, score.cases)
        for score in scores[part]
        if not (score.reached or score.share >= REACHED.get(score.what, 2.0))
    }
    assert below == {}
    assert {score.point for score in scores[part]} == {2, 3, 5, 6, 7, 8}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("part", "sentences", "quotes"), [("tune", 140, 240), ("held", 140, 80)])
def test_there_are_labels_enough(
    scores: dict[Part, list[Score]], real_transcripts: Path, part: Part, sentences: int, quotes: int
) -> None:
    labelled = [place for place in Calls(real_transcripts).places("topics.csv", "", "topics") if place.part == part]
    assert len(labelled) >= sentences
    assert len({place.file.split("_", maxsplit=1)[0] for place in labelled}) >= 7
    read = next(score for score in scores[part] if score.what == "quotes of a summary good")
    unread = next(score for score in scores[part] if score.what == "quotes of a summary not read")
    assert read.cases >= quotes * 0.8  # patterns may change a little before the new quotes have to be read
    assert unread.share <= 0.2


@pytest.mark.parametrize("name", [path.name for path in sorted(FOLDER.glob("*.csv"))])
def test_no_bank_is_in_both_parts_and_no_label_holds_a_text(name: str) -> None:
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    banks = {part: {row["file"].split("_")[0] for row in rows if row["part"] == part} for part in PARTS}
    assert banks["tune"]
    assert banks["tune"] & banks["held"] == set()
    assert {len(row["sha256"]) for row in rows} == {10}
    assert max(len(value) for row in rows for value in row.values()) < 90


def test_labels_of_other_transcripts_are_refused(real_transcripts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(real_transcripts)

    def other(text: str) -> str:
        return "0" * len(text)

    monkeypatch.setattr("benchmarks.aegis_quality.labels.hashed", other)
    with pytest.raises(ValueError, match=r"topics\.csv, line 2: .* not what was labelled"):
        calls.places("topics.csv", "", "topics")
