"""A unit's class: its fields, its key, and the way to JSON and back."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from penstock.model.errors import DefinitionError, InvalidData
from penstock.model.key import Key, KeyKind, kind_of
from penstock.model.spelling import did_you_mean

_PLAIN = (int, str, bool, float, type(None))


def show(annotation: Any) -> str:
    """A type as its author wrote it."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is ... or annotation is None or annotation is type(None):
        return "..." if annotation is ... else "None"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(show, args))
    if isinstance(origin, type) and args:
        return f"{origin.__name__}[{', '.join(map(show, args))}]"
    if isinstance(annotation, type):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def field_names(unit: type[Any]) -> list[str]:
    """The fields of a NamedTuple, dataclass or pydantic model, in order; empty for anything else."""
    for attribute in ("model_fields", "_fields", "__dataclass_fields__"):
        if fields := getattr(unit, attribute, None):
            return list(fields)
    return []


class UnitType:
    """How units of one class are read, written and told apart.

    Args:
        pipeline: The pipeline's name, for messages.
        unit: A NamedTuple, a frozen dataclass or a frozen pydantic model.
        key: The identifying fields; all by default.

    Raises:
        DefinitionError: The class has no named fields, can be changed, or a key field has no canonical form.
    """

    def __init__(self, pipeline: str, unit: type[Any], key: Sequence[str] | None) -> None:
        self.unit = unit
        self.fields = field_names(unit)
        if not self.fields:
            msg = (
                f"Pipeline({pipeline!r}): unit={show(unit)} has no named fields. A unit is a NamedTuple, a frozen "
                f"dataclass or a frozen pydantic model, so that its key has column names: "
                f"class Key(NamedTuple): value: {show(unit)}"
            )
            raise DefinitionError(msg)
        if unit.__hash__ is None:
            msg = (
                f"Pipeline({pipeline!r}): {unit.__name__} can be changed after it is made, so it cannot be a key. "
                f"Freeze it: @dataclass(frozen=True), or class {unit.__name__}(BaseModel, frozen=True)."
            )
            raise DefinitionError(msg)
        self.hints = typing.get_type_hints(unit)
        self.key_fields = tuple(self.fields if key is None else key)
        for name in self.key_fields:
            self.check_field(pipeline, "key", name)
        kinds: dict[str, KeyKind | None] = {name: kind_of(self.hints[name]) for name in self.key_fields}
        for name, kind in kinds.items():
            if kind is None:
                msg = (
                    f"Pipeline({pipeline!r}): {unit.__name__}.{name} is {show(self.hints[name])}, which cannot "
                    f"identify a unit. A key's fields are int, str, bool, date, datetime, UUID, Decimal or an enum of "
                    f"strings; name them with key=(...) and leave {name} out."
                )
                raise DefinitionError(msg)
        self.key = Key({name: kinds[name] or "text" for name in kinds})
        self._adapter = TypeAdapter[Any](unit)
        self._dumps: dict[str, Callable[[Any], Any] | None] = {
            name: None if self.hints[name] in _PLAIN else _dumper(self.hints[name]) for name in self.fields
        }

    def check_field(self, pipeline: str, role: str, name: str) -> None:
        """Raise a DefinitionError when `name` is not a field of the unit."""
        if name not in self.fields:
            msg = (
                f"Pipeline({pipeline!r}): {role}={name!r} is not a field of {self.unit.__name__}"
                f"{did_you_mean(name, self.fields, quoted=True)} Its fields are {', '.join(self.fields)}."
            )
            raise DefinitionError(msg)

    def dump(self, unit: Any) -> dict[str, Any]:
        """The unit as a JSON object."""
        out: dict[str, Any] = {}
        for name, dump in self._dumps.items():
            value = getattr(unit, name)
            out[name] = value if dump is None else dump(value)
        return out

    def load(self, body: Mapping[str, Any]) -> Any:
        """The unit that `dump` wrote; facts that a newer class has are filled by their defaults.

        Raises:
            InvalidData: The object does not fit the class; the message names the field.
        """
        try:
            return self._adapter.validate_python({k: v for k, v in body.items() if k in self._dumps})
        except ValidationError as error:
            msg = f"{dict(body)} is no {self.unit.__name__}: {first_fault(error)}"
            raise InvalidData(msg) from None

    def key_text(self, unit: Any) -> str:
        """The canonical text of the unit's key."""
        return self.key.text({name: getattr(unit, name) for name in self.key_fields})

    def dumped(self, field: str, value: object) -> Any:
        """A value of this field as it stands in the unit's JSON object."""
        dump = self._dumps[field]
        return value if dump is None else dump(value)

    def value(self, field: str, text: object) -> Any:
        """A value of this field from text, as a command line gives it."""
        try:
            return TypeAdapter[Any](self.hints[field]).validate_python(text)
        except ValidationError as error:
            msg = f"{field}={text!r} is no {show(self.hints[field])}: {first_fault(error)}"
            raise InvalidData(msg) from None


def _dumper(annotation: Any) -> Callable[[Any], Any]:
    adapter = TypeAdapter[Any](annotation)
    return lambda value: adapter.dump_python(value, mode="json")


def first_fault(error: ValidationError) -> str:
    """The first fault that pydantic found, as `field: what is wrong`."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg']}" if place else str(fault["msg"])
