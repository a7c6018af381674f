"""The JSON layout: what its files may hold and may not, and who speaks in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aegis.institutions import load_institutions
from aegis.samples import sample_call
from aegis.transcripts import Inspection, Reason, Speech, Transcript, inspect, read_source
from aegis.transcripts.layout import PARTICIPANTS_LIMIT
from aegis.transcripts.model import Role
from aegis.transcripts.roster import Person, kind_of, person_of, same_name
from systems.aegis.tests.layouts import ODD, converted, data, odd

BANKS = load_institutions()
KNOWN = {symbol: bank.name for symbol, bank in BANKS.items()}
NAME = "RY_q2_2025.txt"


def inspected(folder: Path, files: dict[str, bytes]) -> Inspection:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return inspect(read_source(folder), KNOWN)


def accepted(folder: Path, content: Any) -> Transcript:
    result = inspected(folder, {NAME: data(content)})
    assert result.rejected == []
    return result.accepted[0]


def said(transcript: Transcript) -> list[tuple[Speech, str]]:
    return [(speech, transcript.text[speech.start : speech.end]) for speech in transcript.speeches]


def test_every_speech_is_verbatim_at_its_place(tmp_path: Path) -> None:
    transcript = accepted(tmp_path, ODD)
    assert (transcript.ticker, transcript.fiscal_year, transcript.quarter) == ("RY", 2025, "Q2")
    entries = [*ODD["prepared_remarks"], *ODD["q_and_a"]]
    for speech, words in said(transcript):
        assert words == entries[speech.number - 1]["speech"]
        name, _, index = speech.place.rstrip("]").partition("[")
        assert words == ODD[name][int(index)]["speech"]
    assert [speech.number for speech in transcript.speeches] == [1, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15]


def test_who_speaks_is_what_the_participants_the_name_and_the_operator_say(tmp_path: Path) -> None:
    people = {
        (one.speaker, one.role, one.title, one.firm)
        for one in accepted(tmp_path, ODD).speeches
        if one.role != "unknown"
    }
    assert people == {
        ("Operator", "operator", None, None),
        ("Asha Nordin", "management", "Head of Investor Relations", None),
        ("David McKay", "management", "President and Chief Executive Officer", None),  # Dave in the speeches
        ("Katherine Gibson", "management", "Chief Financial Officer", None),
        ("Ebrahim Poonawala", "analyst", None, "Bank of America Merrill Lynch"),
        ("Zoe Fairweather", "analyst", None, "Lakeshore Partners"),  # no participant, introduced by the operator
        ("Neil McLaughlin", "management", None, None),  # no participant, answers
    }


def test_a_speaker_without_a_name_stays_unknown(tmp_path: Path) -> None:
    unknown = [words for speech, words in said(accepted(tmp_path, ODD)) if speech.role == "unknown"]
    assert unknown == [ODD["q_and_a"][4]["speech"]]


@pytest.mark.parametrize("empty", ["prepared_remarks", "q_and_a"])
def test_with_everything_in_one_list_the_analysts_tell_where_questions_begin(tmp_path: Path, empty: str) -> None:
    everything = [*ODD["prepared_remarks"], *ODD["q_and_a"]]
    full = "q_and_a" if empty == "prepared_remarks" else "prepared_remarks"
    wanted = [(speech.number, speech.part, speech.role) for speech in accepted(tmp_path, ODD).speeches]
    transcript = accepted(tmp_path, odd(**{full: everything, empty: []}))
    assert [(one.number, one.part, one.role) for one in transcript.speeches] == wanted
    assert {part for _, part, _ in wanted} == {"prepared", "q_and_a"}


@pytest.mark.parametrize("participants", [..., None, [], [None, "", "Call participants:"]])
def test_without_participants_the_call_itself_shows_the_roles(tmp_path: Path, participants: Any) -> None:
    roles = {one.speaker: one.role for one in accepted(tmp_path, odd(participants=participants)).speeches}
    assert roles == {
        "Operator": "operator",
        "Asha Nordin": "management",
        "Dave McKay": "management",
        "Katherine Gibson": "management",
        "Ebrahim Poonawala": "analyst",
        "Zoe Fairweather": "analyst",
        "Neil McLaughlin": "management",
        "Unknown speaker": "unknown",
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"prepared_remarks": []}, "no prepared remarks"),
        ({"prepared_remarks": None}, "no prepared remarks"),
        ({"q_and_a": ...}, "no questions and answers"),
        ({}, "only 309 words"),
    ],
)
def test_what_is_missing_of_the_call_is_flagged(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    transcript = accepted(tmp_path, odd(**changes))
    assert [flag.reason for flag in transcript.flags] == [Reason.CUT]
    assert says in (transcript.notice or "")


def test_a_whole_call_has_no_flags(tmp_path: Path) -> None:
    content = converted(sample_call(BANKS["RY"], 2025, "Q2"), "Royal Bank of Canada (RY) Q2 2025 Earnings Call")
    content["q_and_a"][-1]["speech"] += " [Operator signoff]"
    assert accepted(tmp_path, content).flags == ()


@pytest.mark.parametrize("name", ["RY_2025_Q2.txt", "RY_q2_2025.txt", "RY_Q2_2025.txt", "RY_2025_q2.txt"])
@pytest.mark.parametrize(
    "content", [data(ODD), b"\xef\xbb\xbf" + data(ODD), sample_call(BANKS["RY"], 2025, "Q2").encode()]
)
def test_the_content_decides_on_the_layout_and_not_the_name(tmp_path: Path, name: str, content: bytes) -> None:
    (transcript,) = inspected(tmp_path, {name: content}).accepted
    assert (transcript.ticker, transcript.fiscal_year, transcript.quarter) == ("RY", 2025, "Q2")
    assert bool(transcript.speeches) == (b"q_and_a" in content)


def test_of_both_layouts_of_a_call_the_one_with_speakers_is_taken(tmp_path: Path) -> None:
    plain = sample_call(BANKS["RY"], 2025, "Q2").encode()
    result = inspected(tmp_path, {"RY_2025_Q2.txt": plain, NAME: data(ODD)})
    assert [one.name for one in result.accepted] == [NAME]
    assert [(one.name, one.reason) for one in result.rejected] == [("RY_2025_Q2.txt", Reason.DUPLICATE_OF)]
    assert NAME in result.rejected[0].detail
    (tmp_path / NAME).write_bytes(b"{")
    assert [one.name for one in inspect(read_source(tmp_path), KNOWN).accepted] == ["RY_2025_Q2.txt"]


def test_company_and_period_are_read_from_the_headers_too(tmp_path: Path) -> None:
    silent = [{"speaker": "Dave McKay", "speech": "Net income rose 5% from last quarter."}]
    other = odd(
        header_texts=["Acme Widgets Q2 2025 Earnings Call", "Welcome to Acme Widgets call"], prepared_remarks=silent
    )
    result = inspected(tmp_path, {NAME: data(other)})
    assert [one.reason for one in result.rejected] == [Reason.OTHER_COMPANY]
    header = ["Royal Bank of Canada (RY)", "Q1 2025 Earnings Call"]
    transcript = accepted(tmp_path, odd(header_texts=header, prepared_remarks=silent))
    assert (transcript.quarter, transcript.flags[0].reason) == ("Q1", Reason.OTHER_PERIOD)


@pytest.mark.parametrize(
    ("content", "reason", "says"),
    [
        (b'{"prepared_remarks": [\n  {"speaker" "x"}]}', Reason.BAD_JSON, "line 2, column 14"),
        (b'{"q_and_a": []', Reason.BAD_JSON, "line 1, column 15"),
        (data(ODD) + b"\n{}", Reason.BAD_JSON, "Extra data"),
        (b'{"q_and_a": [], "q_and_a": []}', Reason.BAD_JSON, "'q_and_a' stands twice"),
        (b'{"q_and_a": NaN}', Reason.BAD_JSON, "NaN"),
        (b'{"q_and_a": ' + b"[" * 200_000, Reason.BAD_JSON, "nested too deeply"),
        (b'{"q_and_a": ' + b"9" * 5_000 + b"}", Reason.BAD_JSON, "no valid JSON"),
        (b'[{"speaker": "x", "speech": "y"}]', Reason.BAD_SHAPE, "a list at the top"),
        (b'{"a": 1}', Reason.BAD_SHAPE, "neither prepared_remarks nor q_and_a"),
        (data(odd(q_and_a="x")), Reason.BAD_SHAPE, "a string as q_and_a, where a list belongs"),
        (data(odd(q_and_a=[{}, "x"])), Reason.BAD_SHAPE, "a string as q_and_a[1], where an object belongs"),
        (data(odd(q_and_a=[{"speech": 7}])), Reason.BAD_SHAPE, "a number as q_and_a[0].speech, where a string belongs"),
        (data(odd(prepared_remarks=[{"speaker": {}}])), Reason.BAD_SHAPE, "an object as prepared_remarks[0].speaker"),
        (data(odd(participants=[["x"]])), Reason.BAD_SHAPE, "a list as participants[0], where a string belongs"),
        (data(odd(header_texts=True)), Reason.BAD_SHAPE, "true or false as header_texts"),
        (
            data(odd(participants=["x"] * (PARTICIPANTS_LIMIT + 1))),
            Reason.BAD_SHAPE,
            "more than 500 entries in participants",
        ),
        (json.dumps(odd(q_and_a=[{"speech": "a\0b"}])).encode(), Reason.BAD_ENCODING, "U+0000 in q_and_a[0].speech"),
        (json.dumps(odd(participants=["\ud83d--CEO"])).encode(), Reason.BAD_ENCODING, "U+D83D in participants[0]"),
        (b'{"q_and_a": "caf\xe9"}', Reason.BAD_ENCODING, "not UTF-8 at byte 16"),
        (b'{"q_and_a": []}', Reason.EMPTY, "no speeches"),
        (
            data(odd(prepared_remarks=[{"speaker": "Jane", "speech": " [Music] "}], q_and_a=[None])),
            Reason.EMPTY,
            "no speeches",
        ),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong_and_costs_no_other(
    tmp_path: Path, content: bytes, reason: Reason, says: str
) -> None:
    good = sample_call(BANKS["BMO"], 2025, "Q2").encode()
    result = inspected(tmp_path, {NAME: content, "BMO_2025_Q2.txt": good})
    assert [(one.name, one.reason) for one in result.rejected] == [(NAME, reason)]
    assert result.rejected[0].detail.startswith(NAME)
    assert says in result.rejected[0].detail
    assert [one.ticker for one in result.accepted] == ["BMO"]


@pytest.mark.parametrize(
    ("entry", "role", "what"),
    [
        ("Jane Doe--Chief Executive Officer", "management", "Chief Executive Officer"),
        ("Jane Doe -- Stifel -- Analyst", "analyst", "Stifel"),
        ("Jane Doe--Keefe, Bruyette & Woods -- Analyst", "analyst", "Keefe, Bruyette & Woods"),
        ("Jane Doe — Stifel — Senior Analyst", "analyst", "Stifel"),
        ("Jane Doe--Analyst", "analyst", None),
        ("Jane Doe--Equity Research Analyst", "analyst", None),
        ("Jane Doe--Stifel, Analyst", "analyst", "Stifel"),
        ("Jane Doe - Chief Risk Officer -- Wealth", "management", "Chief Risk Officer, Wealth"),
        ("Jane Doe:", None, None),
    ],
)
def test_a_participant_is_read_as_written(entry: str, role: Role | None, what: str | None) -> None:
    title, firm = (None, what) if role == "analyst" else (what, None)
    assert person_of(entry) == Person(name="Jane Doe", role=role, title=title, firm=firm)


def test_hyphens_are_part_of_a_name_and_a_side_may_be_told_without_one() -> None:
    assert person_of("Anne-Marie Doe-Smith--Chair").name == "Anne-Marie Doe-Smith"
    assert person_of("Unidentified Analyst").role == "analyst"
    assert person_of("Unidentified Company Representative").role == "management"
    assert person_of("Unidentified Participant").role is None


@pytest.mark.parametrize(
    ("speaker", "kind"),
    [
        ("Duration: 79 minutes", "heading"),
        ("Call participants:", "heading"),
        ("Questions and Answers:", "heading"),
        ("[Operator instructions]", "heading"),
        ("2025-05-29", "heading"),
        ("We will now begin the question period today", "heading"),
        ("Operator", "operator"),
        ("Conference Operator", "operator"),
        ("Unknown speaker", "nobody"),
        ("Unidentified Participant", "nobody"),
        ("Speaker 3", "nobody"),
        (None, "nobody"),
        (" ", "nobody"),
        ("Jane Doe", "person"),
        ("Jane Doe:", "person"),
        ("Jane Doe [Chief Financial Officer]", "person"),
        ("Zoë O’Hara -- Stifel -- Analyst", "person"),
    ],
)
def test_what_stands_where_a_speaker_should(speaker: str | None, kind: str) -> None:
    assert kind_of(speaker) == kind


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Mike Mayo", "Michael Mayo", True),
        ("Zoë Fairweather", "Zoe Fairweather", True),
        ("John R. Smith, Jr.", "John Smith", True),
        ("Ebrahim Poonawala", "Ebrahim Poonawalla", True),
        ("John Smith", "Mary Smith", False),
        ("John Smith", "John Brown", False),
        ("", "John Brown", False),
    ],
)
def test_when_two_spellings_are_one_name(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same
