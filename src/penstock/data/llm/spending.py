"""Who pays for a call: the run of the handler that asks."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from decimal import Decimal

from penstock.definition.context import Draw, running
from penstock.model.errors import DefinitionError
from penstock.model.quota import Number, Quota


class _Free:
    """The draw of a call without caps."""

    amount = Decimal(0)

    def settle(self, actual: Number | str) -> None:
        """Nobody asks."""


def drawn(caps: Sequence[Quota], worst: Decimal) -> AbstractAsyncContextManager[Draw]:
    """The worst case is drawn from every cap, or from none, while the block runs; what is not settled stays spent.

    Raises:
        DefinitionError: There are caps and no running handler whose run could draw on them.
    """
    if not caps:
        return nullcontext(_Free())
    context = running()
    if context is None:
        msg = (
            "A language model with caps was asked outside of a running step, where there is no run to pay for it. Ask "
            "it in a step, in a test in a Simulation; without caps it can be asked anywhere."
        )
        raise DefinitionError(msg)
    return context.spend(caps, worst)
