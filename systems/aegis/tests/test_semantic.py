"""The extra `semantic`: the model's numbers, what it decides, its cost, and what is said where it is missing."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import penstock as ps
from aegis.institutions import load_institutions
from aegis.reports import REPORT_TYPES, CallTranscript, ExtractiveWriter, Section, typeset
from aegis.reports.lexicon import topics
from aegis.reports.themes import themes
from aegis.samples import sample_call
from aegis.semantic import Embedder, embedder, missing_packages, nearest_theme, nearest_topics, open_embedder
from aegis.semantic.nearest import _examples
from aegis.settings import Settings
from aegis.writers import open_writer

BANKS = load_institutions()


@pytest.fixture(scope="module")
def embed() -> Embedder:
    """The model; without it the test is skipped on a laptop and fails in CI."""
    missing = missing_packages()
    if missing:
        reason = f"the extra semantic is not installed: {', '.join(missing)}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return open_embedder()


def likeness(embed: Embedder, one: str, other: str) -> float:
    a, b = embed([one, other])
    return sum(x * y for x, y in zip(a, b, strict=True))


def sample(symbol: str = "RY", more: str = "") -> CallTranscript:
    text = sample_call(BANKS[symbol], 2025, "Q2").replace(
        "We will now open the line", f"{more} We will now open the line"
    )
    return CallTranscript(
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        bank_name=BANKS[symbol].name,
        bank_symbol=symbol,
        fiscal_year=2025,
        quarter="Q2",
    )


async def written(writer: ExtractiveWriter, call: CallTranscript, report_type: str) -> list[Section]:
    return [await writer.section(call, topic) for topic in writer.topics(report_type)]


def test_the_numbers_are_those_that_the_model_is_known_for(embed: Embedder) -> None:
    """The example of the model's public page: the first sentence beside the three others."""
    first, *others = embed(
        ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"]
    )
    found = [sum(x * y for x, y in zip(first, other, strict=True)) for other in others]
    assert found == pytest.approx([0.6946, 0.9429, 0.2569], abs=0.0002)


def test_every_vector_has_length_one_whatever_the_text(embed: Embedder) -> None:
    texts = ["", " ", "a", "%", "中文", "naïve Zoë", "word " * 5_000, "net interest income"]
    for vector in embed(texts):
        assert len(vector) == 384
        assert math.sqrt(sum(x * x for x in vector)) == pytest.approx(1, abs=1e-5)
    assert embed([]) == []


def test_a_text_has_the_same_vector_beside_any_other(embed: Embedder) -> None:
    text = "We now expect full year net interest income to grow between 3% and 5%."
    (alone,) = embed([text])
    for others in (["Short."], ["A much longer sentence " * 20], [text] * 40):
        assert embed([text, *others])[0] == pytest.approx(alone, abs=2e-6)


@pytest.mark.parametrize(
    ("text", "paraphrase", "unrelated"),
    [
        (
            "Loan demand from companies is weak.",
            "Businesses do not want to borrow much.",
            "We opened twelve branches in Texas.",
        ),
        (
            "We bought back 500 million dollars of stock.",
            "Share repurchases were half a billion dollars.",
            "Deposit costs declined in the quarter.",
        ),
        (
            "We have fewer employees than last year.",
            "Headcount is lower.",
            "Our common equity ratio was twelve percent.",
        ),
        (
            "Would you consider buying a bank?",
            "What is your appetite for acquisitions?",
            "How low can deposit betas go?",
        ),
    ],
)
def test_a_paraphrase_is_nearer_than_another_matter(
    embed: Embedder, text: str, paraphrase: str, unrelated: str
) -> None:
    assert likeness(embed, text, paraphrase) > likeness(embed, text, unrelated) + 0.05


def test_the_error_function_is_as_exact_as_it_says(embed: Embedder) -> None:
    import numpy as np

    from aegis.semantic.minilm import erf

    x = np.linspace(-8, 8, 4001).astype(np.float32)
    assert max(abs(float(y) - math.erf(float(at))) for at, y in zip(x, erf(x), strict=True)) < 4e-7


def test_there_are_examples_of_every_topic_and_theme() -> None:
    assert {key for key, _ in _examples("topics")} == set(topics())
    assert {key for key, _ in _examples("themes")} == set(themes())


@pytest.mark.parametrize(
    ("question", "theme"),
    [
        ("Is there any chance that you would purchase a smaller lender, or are you not a buyer?", "theme_acquisitions"),
        ("How do you employ AI models across the company, and what will they save?", "theme_technology"),
        ("How are levies on imports changing the plans of your customers?", "theme_economy"),
        ("What colour is the carpet in your new office lobby?", None),
    ],
)
def test_a_question_in_other_words_has_its_theme(embed: Embedder, question: str, theme: str | None) -> None:
    assert nearest_theme(question, embed) == theme


def test_sentences_are_taken_for_a_topic_only_where_they_are_near(embed: Embedder) -> None:
    texts = [
        "We rewarded our owners by purchasing our own common stock.",
        "The weather was fine.",
        "My name is Denise.",
    ]
    assert nearest_topics(texts, embed) == ["capital", None, None]
    assert nearest_topics([], embed) == []


def test_the_nearest_is_told_without_the_model_too() -> None:
    """The choice by itself: two dimensions, two topics, of which one is near."""
    examples = _examples("topics")

    def fake(texts: Sequence[str]) -> list[list[float]]:
        known = {text: key for key, text in examples}
        return [[1.0, 0.0] if known.get(text, text) == "credit" else [0.6, 0.8] for text in texts]

    # All other topics are equally like the second: none leads, so it is of none.
    assert nearest_topics(["credit", "elsewhere"], fake) == ["credit", None]


@pytest.mark.asyncio
@pytest.mark.parametrize("report_type", REPORT_TYPES)
async def test_reports_keep_their_promises_with_embeddings(tmp_path: Path, embed: Embedder, report_type: str) -> None:
    call = sample()
    writer = ExtractiveWriter(embed)
    plain = await written(ExtractiveWriter(), call, report_type)
    sections = await written(writer, call, report_type)
    assert [section.topic for section in sections] == [section.topic for section in plain]
    # What the lexicon knows stays where it is: embeddings only add.
    for before, after in zip(plain, sections, strict=True):
        if after.topic != "theme_other_questions":
            assert after.considered >= before.considered
    draft = typeset(sections, call, report_type, tmp_path, writer=writer.name, embed=embed)
    assert "extractive-semantic writer" in draft.markdown.read_text(encoding="utf-8")


@pytest.mark.asyncio
async def test_a_question_that_the_lexicon_does_not_know_finds_its_theme(embed: Embedder) -> None:
    text = sample().text
    asked = "Is there any chance that you would purchase a smaller lender, or are you simply not a buyer?"
    end = text.rindex("There are no further questions")
    handoff = "Our next question comes from the line of Ann Example with Lakeshore Partners. Your line is open."
    text = f"{text[:end]}{handoff} Good morning. {asked} Good morning, Ann. No, we like what we have. {text[end:]}"
    call = CallTranscript(
        text=text, sha256="x", bank_name="B", bank_symbol="RY", fiscal_year=2025, quarter="Q2"
    )  # fmt: skip

    async def theme(writer: ExtractiveWriter) -> str:
        sections = await written(writer, call, "Key Themes")
        return next(
            section.topic for section in sections for block in section.blocks if block.analyst_heard == "Ann Example"
        )

    assert await theme(ExtractiveWriter()) == "theme_other_questions"
    assert await theme(ExtractiveWriter(embed)) == "theme_acquisitions"


REPORTS = """
import asyncio, hashlib, sys, time
from pathlib import Path
from aegis.reports import REPORT_TYPES, ExtractiveWriter, typeset
from aegis.semantic import open_embedder
from systems.aegis.tests.test_semantic import sample, written
began = time.process_time()
for report_type in REPORT_TYPES:
    writer = ExtractiveWriter(open_embedder())
    draft = typeset(asyncio.run(written(writer, sample(), report_type)), sample(), report_type, Path(sys.argv[1]))
    print(hashlib.sha256(draft.docx.read_bytes() + draft.markdown.read_bytes()).hexdigest())
spent = time.process_time() - began
print("packages", sorted({"torch", "sentence_transformers", "transformers", "huggingface_hub"} & set(sys.modules)))
# Not ru_maxrss: that of a child begins with what its parent had.
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
print("seconds", spent, "MB", int(peak.split()[1]) / 1024)
"""


def test_reports_are_repeatable_and_cheap_in_a_process_of_their_own(tmp_path: Path, embed: Embedder) -> None:
    """Bar point 9 with embeddings: 10 s and 500 MB a report; the same bytes; no network in the address space."""
    outputs: list[list[str]] = []
    for folder in ("a", "b"):
        done = subprocess.run(
            [sys.executable, "-c", REPORTS, str(tmp_path / folder)],
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.split("\n"))
    assert outputs[0][:2] == outputs[1][:2]
    for output in outputs:
        assert output[2] == "packages []"
        _, seconds, _, megabytes = output[3].split()
        assert float(seconds) < 20  # two reports, the reading of the model included
        assert float(megabytes) < 500


async def opened(settings: Settings) -> str:
    names = [writer.name async for writer in open_writer(settings)]
    return names[0]


@pytest.mark.asyncio
async def test_the_setting_alone_decides(embed: Embedder) -> None:
    assert await opened(Settings()) == "extractive"
    assert await opened(Settings(semantic=True)) == "extractive-semantic"


@pytest.mark.asyncio
async def test_without_the_packages_the_setting_is_refused_with_the_way_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "NEEDED", ("numpy_that_is_not_there", "json"))
    with pytest.raises(ps.SettingError, match=r"AEGIS_SEMANTIC=true .*: numpy-that-is-not-there\. Install"):
        await opened(Settings(semantic=True))
    assert await opened(Settings()) == "extractive"


def test_a_package_without_its_model_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "NEEDED", ("json",))
    monkeypatch.setattr(embedder, "PACKAGE", "json")
    with pytest.raises(ps.SettingError, match="json is installed without its model"):
        open_embedder()
