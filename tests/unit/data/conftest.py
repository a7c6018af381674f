from __future__ import annotations

import pytest

from tests.unit.data.paying import Purse, carry


@pytest.fixture
def purse(monkeypatch: pytest.MonkeyPatch) -> Purse:
    """Whoever asks a model now draws from this."""
    return carry(Purse(), monkeypatch)
