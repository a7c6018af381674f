"""Who writes the sections of a report."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import penstock as ps
from aegis.money import usd_a_day, usd_a_report
from aegis.reports import CallTranscript, ExtractiveWriter, LlmWriter, Section
from aegis.semantic import Embed, open_embedder
from aegis.settings import Settings
from penstock import data


class Writer(Protocol):
    """Writes sections; the same transcript and topic give a section of the same meaning."""

    @property
    def name(self) -> str:
        """What reports and their records call it."""
        ...

    @property
    def embed(self) -> Embed | None:
        """What gives statements their vectors, where embeddings are used: a comparison with the previous call too."""
        ...

    def topics(self, report_type: str) -> list[str]:
        """The topics of a report's sections in their order."""
        ...

    async def section(self, transcript: CallTranscript, topic: str) -> Section:
        """One section; may be asked for several at once."""
        ...


async def open_writer(settings: Settings) -> AsyncIterator[Writer]:
    """The writer that the settings name."""
    match settings.writer:
        case "extractive":
            yield ExtractiveWriter(open_embedder() if settings.semantic else None)
        case "llm":
            async with open_llm(settings) as llm:
                yield LlmWriter(llm, context=settings.llm_context)


def open_llm(settings: Settings) -> data.Llm:
    """The language model that the settings name, under both caps.

    Raises:
        SettingError: One of its settings is missing or wrong; the message names it.
    """
    if settings.llm_model is None or settings.llm_key is None:
        missing = "llm_model" if settings.llm_model is None else "llm_key"
        raise ps.SettingError(
            f"The writer 'llm' needs {missing}: set AEGIS_{missing.upper()}, or take AEGIS_WRITER=extractive."
        )
    try:
        return data.Llm(
            settings.llm_model,
            api_key=settings.llm_key,
            base_url=settings.llm_url,
            caps=[usd_a_report, usd_a_day],
            prices=settings.llm_prices,
            timeout=settings.llm_timeout,
            max_tokens=settings.llm_max_tokens,
            stream=settings.llm_stream,
            limit=settings.llm_limit,
        )
    except ps.SettingError as error:
        msg = (
            f"The writer 'llm': {error} Here it is set by AEGIS_LLM_MODEL, AEGIS_LLM_URL, AEGIS_LLM_KEY and "
            "llm_prices (under 'settings:' in penstock.yaml, or as JSON in AEGIS_LLM_PRICES)."
        )
        raise ps.SettingError(msg) from None
