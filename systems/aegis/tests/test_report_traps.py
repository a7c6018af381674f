"""The traps that real transcripts have for a report, each by itself; the sentences are made up."""

from __future__ import annotations

import pytest

from aegis.reports.analysis import Analysis, is_quotable
from aegis.reports.cues import analyst_odds
from aegis.reports.heard import analyst_of, firm_of
from aegis.reports.lexicon import topic_of
from aegis.reports.salience import has_direction, has_quantity
from aegis.reports.sentences import split_sentences
from aegis.reports.speakers import infer_speakers
from aegis.reports.summary import summary_section
from aegis.reports.themes import OTHER, theme_section, theme_topics
from aegis.transcripts.handoffs import find_handoffs

REMARKS = "Average loans grew 2% to $40 billion, and deposits were stable. " * 25
HANDOFF = "Our next question comes from the line of Jane Miller with Barclays. Your line is open. "


def asked(text: str) -> list[tuple[str, str]]:
    """The questions of a call with their themes."""
    analysis = Analysis(text)
    return [
        (topic, block.question.text)
        for topic in theme_topics()
        for block in theme_section(analysis, text, topic).blocks
        if block.question is not None
    ]


@pytest.mark.parametrize(
    ("next_turn", "speaker"),
    [("Thank you, Anna, and good morning.", "Dominic"), ("We had a strong quarter.", None)],
)
def test_a_speakers_name_counts_only_if_the_next_turn_confirms_it(next_turn: str, speaker: str | None) -> None:
    text = f"Over to you, Dominic. {next_turn} Revenue rose 3%. Costs fell 1%. Fees were flat. Credit was good."
    assert infer_speakers(split_sentences(text, []))[-1] == speaker


def test_a_firm_is_set_right_and_an_unknown_one_is_left() -> None:
    assert firm_of("Goldman Snacks") == "Goldman Sachs"
    assert analyst_of("Ibrahim Poonawalla") == "Ebrahim Poonawala"
    assert firm_of("Acme Widgets") is None


@pytest.mark.parametrize(
    "said",
    [
        "And so we think our margin holds up from here, right?",
        "Dennis, do you want to add?",
        "Clark, what would you add to that?",
        "Sure, Jane, we feel good about our deposits.",
    ],
)
def test_what_management_asks_is_no_analysts_question(said: str) -> None:
    assert analyst_odds(said, "Jane Miller") < 0


@pytest.mark.parametrize(
    "said",
    [
        "And then separately, I was hoping you could update us on buybacks.",
        "Can you talk about your deposit costs?",
        "And as a follow-up, any thoughts on the pace of hiring?",
        "It sounds like you're leaning in on expenses.",
    ],
)
def test_an_analyst_may_ask_without_a_question_mark(said: str) -> None:
    assert analyst_odds(said, "Jane Miller") > 1


@pytest.mark.parametrize("amount", ["high single digit", "mid-teens", "low to mid single digits", "3% to 5%", "half"])
def test_amounts_in_words_are_amounts(amount: str) -> None:
    assert has_quantity(f"We expect fees to grow {amount} this year.")


@pytest.mark.parametrize("words", ["in the second half", "in the back half of the year"])
def test_half_a_year_is_no_amount(words: str) -> None:
    assert not has_quantity(f"We will invest {words}.")


def test_stable_to_modestly_higher_says_where_it_goes() -> None:
    assert has_direction("We expect loans to be stable to modestly higher.")


@pytest.mark.parametrize(
    ("sentence", "topic"),
    [
        ("Capital markets fees of $90 million were up 12%, driven by advisory.", "fees"),
        ("Our tax provision of $200 million reflects a rate of 21%.", None),
        ("Total revenue of $2.1 billion rose 4%, driven by higher net interest income and fees.", "results"),
        ("Our Set 1 ratio strengthened to 10.8%.", "capital"),
        ("Net charge-offs were 40 basis points.", "credit"),
    ],
)
def test_words_that_only_look_like_a_topic(sentence: str, topic: str | None) -> None:
    assert topic_of(sentence) == topic


def test_the_promise_of_questions_is_not_their_start() -> None:
    opening = "Later we will begin the question-and-answer session. I will now turn the call over to Anna Lee. "
    assert find_handoffs(opening + REMARKS) == []
    assert all(one.part == "prepared" for one in Analysis(opening + REMARKS).utterances)


def test_nobody_is_handed_the_line_by_being_named_alone() -> None:
    assert (
        find_handoffs(f"{REMARKS}We go first to Jane Miller of Barclays. Jane, our new head of cards, said so.") == []
    )


@pytest.mark.parametrize("called", ["Operator? ", "What are we seeing? "])
def test_remarks_stay_remarks_where_somebody_is_called_by_name(called: str) -> None:
    text = called * 4 + REMARKS + HANDOFF + "Hi. What do you expect of deposits in the second half?"
    prepared = {one.part for one in Analysis(text).utterances if one.sentence.text.startswith("Average loans")}
    assert prepared == ({"prepared"} if called == "Operator? " else {"q_and_a"})


@pytest.mark.parametrize(
    "operator",
    [
        "And our next caller is Jane Miller from Morgan Stanley.",
        "And our next question is going to come from Jane Miller from Barclays.",
        "We'll take our next question from... Jane Miller of UBS.",
        "We'll take our next question from Jane Miller.",
        "Our next question comes from Jane Miller with tourist securities.",
        "We'll go first this morning to Jane Miller of Barclays. Jane, please go ahead.",
        "your next question comes from the line of jane miller with barclays, your line is open",
    ],
)
def test_a_hand_off_is_found_however_it_is_said(operator: str) -> None:
    (found,) = find_handoffs(f"{REMARKS}{operator} Hi, good morning.")
    assert found.name.lower() == "jane miller"


def test_a_question_is_quoted_with_the_sentences_that_give_it_sense() -> None:
    asking = "Good morning. I wanted to ask about deposit costs. They rose a lot. Is that it?"
    text = f"{REMARKS}{HANDOFF}{asking} We think so."
    ((theme, question),) = asked(text)
    assert theme == "theme_deposits"
    assert "deposit costs" in question
    assert not question.startswith("Good morning")


def test_an_analyst_who_only_states_appears_too() -> None:
    text = (
        f"{REMARKS}{HANDOFF}Good morning. So on expenses the growth this year stays above the peer group by a wide "
        "margin once more. Sure, Jane. We are very focused on our costs, and we think 3% is right."
    )
    assert [theme for theme, _ in asked(text)] == ["theme_expenses"]


def test_after_a_change_of_subject_the_last_theme_is_not_kept() -> None:
    text = (
        f"{REMARKS}{HANDOFF}How should we think about your deposit costs from here? Sure, Jane. Our costs fell 5%. Got "
        "it. And then on a separate topic, can you tell us what the new logo on the tower stands for? Sure. We like it."
    )
    assert [theme for theme, _ in asked(text)] == ["theme_deposits", OTHER]


def test_what_the_operator_says_last_is_nobodys_question() -> None:
    text = (
        f"{REMARKS}{HANDOFF}Can you talk about loan growth in your markets this year? Sure. We saw 3%. There are no "
        "further questions at this time. Thank you for joining today and for your continued interest, and have fun?"
    )
    assert len(asked(text)) == 1


def test_no_question_and_no_courtesy_is_quotable() -> None:
    assert not is_quotable("Did our deposits grow by 3% in the quarter?")
    assert not is_quotable("Thank you all for joining us on a quarter with 3% growth.")


def test_a_slot_goes_to_the_sentence_whose_subject_it_is() -> None:
    text = (
        "Non-interest income increased 10%, reflecting momentum across investment banking and cards. "
        "Investment banking fees were $178 million, an increase of 41%. " + REMARKS
    )
    blocks = {block.label: block.quotes[0].text for block in summary_section(Analysis(text), "fees").blocks}
    assert blocks["Total fees"].startswith("Non-interest income")
    assert blocks["Investment banking"].startswith("Investment banking fees")
