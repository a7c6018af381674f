"""The execution log: from the events of runs to the lines that the orchestrator prints."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aegis.console import log, one_line
from aegis.kinds import job

if TYPE_CHECKING:
    import penstock as ps


@dataclass
class _Job:
    """One job: how often it was tried, and whether its last try failed."""

    tries: int
    began: float = field(default_factory=time.monotonic)
    failed: bool = False
    told: bool = False


class ExecutionLog:
    """Prints each job's tries and end. A job that has several steps is tried again as a whole.

    Args:
        attempts: How many tries a job has.
    """

    def __init__(self, attempts: int) -> None:
        self._attempts = attempts
        self._jobs: dict[int, _Job] = {}

    def __call__(self, event: ps.Event) -> None:
        """One event."""
        number = int(event.data["number"])
        name = job(event.data["unit"])
        known = self._jobs.get(number)
        match event.type:
            case "attempt.started":
                self._started(number, name, known, int(event.data["attempt"]))
            case "attempt.failed":
                this = known or self._jobs.setdefault(number, _Job(tries=int(event.data["attempt"])))
                this.failed = this.told = True
                log.error("❌ Failed %s (attempt %d): %s", name, this.tries, one_line(str(event.data["error"])))
            case "execution.waiting":
                if known is not None and known.failed:
                    log.info("Retrying in %ss...", f"{round(event.data['seconds'], 1):g}")
            case "execution.completed":
                seconds = 0.0 if known is None else time.monotonic() - known.began
                log.info("✅ Success %s in %.1fs", name, seconds)
                self._jobs.pop(number, None)
            case "execution.failed":
                if known is None or not known.told:
                    log.error("❌ Failed %s: %s", name, one_line(str(event.data["error"] or event.data["state"])))
                self._jobs.pop(number, None)
            case _:
                log.debug("%s %s", event.type, name)

    def _started(self, number: int, name: str, known: _Job | None, attempt: int) -> None:
        if known is None:
            # Another process may have tried it before it died: the step's own count knows.
            known = self._jobs.setdefault(number, _Job(tries=attempt))
        elif known.failed:
            known.tries += 1
            known.failed, known.began = False, time.monotonic()
        else:
            return  # its next step
        log.info("Executing %s (attempt %d/%d)", name, known.tries, max(self._attempts, known.tries))
