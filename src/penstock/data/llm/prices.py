"""What a model costs: from a table of one's own, else from the list prices of genai-prices. Money is Decimal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Protocol

from penstock.model.errors import SettingError
from penstock.model.narrowing import is_mapping
from penstock.model.quota import exact

_MILLION: Final = 1_000_000
_NAMES: Final = ("input", "output", "cached", "context")
PriceTable = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that a vendor bills.

    Attributes:
        input: All tokens of the request.
        cached: Those of them that came from the vendor's cache.
        written: Those of them that were written to it.
        output: All tokens of the answer, those that are not shown included.
    """

    input: int
    output: int
    cached: int = 0
    written: int = 0


class Tariff(Protocol):
    """What one model costs at one vendor."""

    @property
    def context(self) -> int | None:
        """The tokens of request and answer together, where that is known."""
        ...

    def cost(self, usage: Usage, at: datetime, tier: str | None = None) -> Decimal:
        """The price in US dollars; `tier` is the vendor's name for its kind of service."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPrice:
    """A price of one's own, in US dollars per million tokens."""

    input: Decimal
    output: Decimal
    cached: Decimal
    context: int | None = None

    def cost(self, usage: Usage, at: datetime, tier: str | None = None) -> Decimal:
        """The same at any time, whatever the service."""
        _ = at, tier
        fresh = (usage.input - usage.cached) * self.input
        return (fresh + usage.cached * self.cached + usage.output * self.output) / _MILLION


class ListPrice:
    """The vendor's list price as genai-prices has it: tiers, dates and kinds of service included."""

    def __init__(self, model: str, url: str) -> None:
        self._model, self._url = model, url
        self.context = self._calculate(Usage(input=1, output=1), None, {}).model.context_window

    def cost(self, usage: Usage, at: datetime, tier: str | None = None) -> Decimal:
        """The list price at a time."""
        total: Decimal = self._calculate(usage, at, {"service_tier": tier} if tier else {}).total_price
        return total

    def _calculate(self, usage: Usage, at: datetime | None, context: dict[str, str]) -> Any:
        import genai_prices

        counted = genai_prices.Usage(
            input_tokens=usage.input,
            cache_read_tokens=usage.cached,
            cache_write_tokens=usage.written,
            output_tokens=usage.output,
        )
        found = genai_prices.calc_price(
            counted, self._model, provider_api_url=self._url, genai_request_timestamp=at, price_context=context
        )
        if found.model_price.input_mtok is None or found.model_price.output_mtok is None:
            raise LookupError(f"genai-prices has no price per token of {self._model}")
        return found


def tariff(model: str, url: str, prices: PriceTable | None) -> Tariff:
    """What a model costs at an endpoint.

    Args:
        model: Its name, as the endpoint knows it.
        url: The endpoint. List prices hold at the vendors' own endpoints only: the same model elsewhere costs what
            whoever runs it says.
        prices: By model `input`, `output`, and where they are known `cached` and `context`; goes before list prices.

    Raises:
        SettingError: There is no price, or one in the table is wrong.
    """
    table = {name: own_price(name, given) for name, given in (prices or {}).items()}
    if model in table:
        return table[model]
    try:
        return ListPrice(model, url)
    except LookupError:
        msg = (
            f"There is no price for the model {model!r} at {url}, so no worst case can be held against a cap. Say "
            f"it in prices={{{model!r}: {{'input': ..., 'output': ..., 'cached': ...}}}}, in US dollars per million "
            "tokens."
        )
        raise SettingError(msg) from None


def own_price(model: str, given: object) -> OwnPrice:
    """One row of a table of prices.

    Raises:
        SettingError: A figure is missing or wrong; the message names it.
    """
    where = f"prices of the model {model!r}"
    if not is_mapping(given):
        raise SettingError(f"{where}: {given!r} is no mapping such as {{'input': 0.40, 'output': 1.60}}.")
    values = given
    unknown = sorted(set(values) - set(_NAMES), key=str)
    if unknown:
        raise SettingError(f"{where}: there is no {unknown[0]!r}; the names are {', '.join(_NAMES)}.")
    missing = [name for name in ("input", "output") if values.get(name) is None]
    if missing:
        raise SettingError(f"{where}: {missing[0]!r} is missing; it is US dollars per million tokens.")
    context = values.get("context")
    if context is not None and (not isinstance(context, int) or isinstance(context, bool) or context < 1):
        raise SettingError(f"{where}: context={context!r} is no number of tokens.")
    paid = _dollars(values["input"], f"{where}: input")
    cached = values.get("cached")
    return OwnPrice(
        input=paid,
        output=_dollars(values["output"], f"{where}: output"),
        cached=paid if cached is None else _dollars(cached, f"{where}: cached"),
        context=context,
    )


def _dollars(value: object, what: str) -> Decimal:
    number = exact(value)
    if number is None:
        raise SettingError(f"{what}={value!r} is no price; it is US dollars per million tokens, 0 or more.")
    return number
