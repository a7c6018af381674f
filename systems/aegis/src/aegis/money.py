"""What language models may cost."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import penstock as ps

usd_a_report = ps.Quota("llm_usd_a_report", 2, per="run")
"""The cap of one report; a report that would pass it fails, and what it has paid for is kept for the next try."""
usd_a_day = ps.Quota("llm_usd", 50, per="day", timezone="America/Toronto")
"""The cap of a day; what does not fit waits for the next one."""
ESTIMATE: Final = Decimal("0.40")
"""What a report is taken to cost when it is planned."""
