"""Transcripts of earnings calls: reading them from a folder or a zip, and checking that each is what it says."""

from __future__ import annotations

from aegis.transcripts.checks import inspect
from aegis.transcripts.model import Flag, Inspection, RawFile, Reason, Rejection, Speech, Transcript, speeches_of
from aegis.transcripts.source import read_source
from aegis.transcripts.zips import SourceError

__all__ = [
    "Flag",
    "Inspection",
    "RawFile",
    "Reason",
    "Rejection",
    "SourceError",
    "Speech",
    "Transcript",
    "inspect",
    "read_source",
    "speeches_of",
]
