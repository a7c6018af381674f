"""The pages of the documentation, taken apart."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NO_COMMANDS = {"python", "sql", "yaml"}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REDIRECT = re.compile(r"^\d*[<>]")


@dataclass(frozen=True)
class Page:
    """One file. `name` is its path from the root."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, language: str) -> list[str]:
        return [code for found, code in _FENCE.findall(self.text) if found == language]

    @property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _FENCE.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        """What its headings can be linked by."""
        titles = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

    def section(self, title: str) -> str:
        """What stands under a heading of the second level."""
        found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", self.text, re.MULTILINE | re.DOTALL)
        assert found is not None, f"{self.name} has no section {title}"
        return found[1]

    def commands(self) -> Iterator[list[str]]:
        """The words of every `penstock ...` in the page, without the first."""
        for fence in _FENCE.finditer(self.text):
            language, code = str(fence[1]), str(fence[2])
            lines: list[str] = [] if language in NO_COMMANDS else code.splitlines()
            if language == "console":
                lines = [line[2:] for line in lines if line.startswith("$ ")]
            for line in lines:
                if re.search(r"(^|[\s/])penstock ", line):
                    yield from _commands(line)
        for code in re.findall(r"`([^`\n]+)`", self.prose):
            if code.startswith("penstock "):
                yield from _commands(code)


def pages() -> list[Page]:
    """README, CONTRIBUTING, CHANGELOG and all of docs."""
    names = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return [Page(path) for path in sorted(names) if path.name != "template.md"]


def page(name: str) -> Page:
    return Page(ROOT / name)


def rows(text: str) -> list[list[str]]:
    """The rows of the tables in a text, without headings; marks of code are left out."""
    found: list[list[str]] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        is_heading = number + 1 < len(lines) and lines[number + 1].startswith("| ---")
        if line.startswith("| ") and not line.startswith("| ---") and not is_heading:
            found.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return [[cell.strip("| ") for cell in row] for row in found]


def code_of(cell: str) -> list[str]:
    """What a cell has in marks of code."""
    return re.findall(r"`([^`]+)`", cell)


def _commands(line: str) -> Iterator[list[str]]:
    for part in re.split(r"&&|\||;", line.replace("[", " ").replace("]", " ")):
        words = shlex.split(part, comments=True)
        begins = [place for place, word in enumerate(words) if word == "penstock" or word.endswith("/penstock")]
        if begins:
            rest = words[begins[0] + 1 :]
            end = next((place for place, word in enumerate(rest) if _REDIRECT.match(word)), len(rest))
            yield [word for word in rest[:end] if word != "..."]
