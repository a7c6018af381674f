"""An event as other programs get it: CloudEvents 1.0, the same bytes however often it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from penstock.model.states import KEPT_EVENTS, EventType

TOPIC: Final = "etl.events"
"""The subject in NATS, the topic in Kafka."""
SPEC: Final = "1.0"
JSON: Final = "application/json"
ONE: Final = "application/cloudevents+json"
MANY: Final = "application/cloudevents-batch+json"
PUBLISHED: Final[tuple[EventType, ...]] = tuple(sorted(KEPT_EVENTS))
"""What a sink may be sent."""
_DIGITS: Final = 19


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One event.

    Attributes:
        id: Its own for ever: whoever gets it twice knows it by that.
        app: Whose it is; `source` says it as CloudEvents does.
        type: What happened, such as `execution.completed`.
        run: The public id of the run that it tells of: `subject`, and the key that keeps a run's events in order.
        time: When it happened.
        position: Its place in the log; rises within an app.
        data: What is told, plain JSON.
    """

    id: UUID
    app: str
    type: str
    run: UUID
    time: datetime
    position: int
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def source(self) -> str:
        """Who says it, as a reference to a resource."""
        return f"/penstock/{quote(self.app, safe='')}"

    @property
    def sequence(self) -> str:
        """The position with as many digits for all, so that text is in the order of numbers."""
        return f"{self.position:0{_DIGITS}d}"

    def attributes(self) -> dict[str, str]:
        """All but the data, as text by the names of CloudEvents."""
        return {
            "specversion": SPEC,
            "id": str(self.id),
            "source": self.source,
            "type": self.type,
            "subject": str(self.run),
            "time": self.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "datacontenttype": JSON,
            "partitionkey": str(self.run),
            "sequence": self.sequence,
        }

    def document(self) -> dict[str, Any]:
        """The whole event as a JSON object: the structured mode of CloudEvents."""
        return {**self.attributes(), "data": dict(self.data)}

    def structured(self) -> bytes:
        """The whole event as text."""
        return dumped(self.document())

    def body(self) -> bytes:
        """The data alone as text: the binary mode of CloudEvents."""
        return dumped(self.data)


def dumped(value: Any) -> bytes:
    """JSON without blanks, in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=dict).encode()
