"""A handler's signature: what each parameter asks for, and what the handler returns."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from penstock.definition.context import Context, Transaction
from penstock.definition.units import show
from penstock.model.errors import DefinitionError

if TYPE_CHECKING:
    from penstock.definition.step import Step


@dataclass(frozen=True, slots=True)
class Signature:
    """Parameter → its type, or the `OutputOf` that it stands for; and the return annotation with its adapter."""

    parameters: Mapping[str, Any]
    returns: Any
    adapter: TypeAdapter[Any]
    is_async: bool
    takes_batch: bool
    takes_transaction: bool


def read_signature(step: Step[Any], handler: Callable[..., Any]) -> Signature:
    """Read and check what can be checked before the app is known.

    Raises:
        DefinitionError: An annotation is missing or cannot be read, a plain `def` asks for the transaction, or what
            is returned cannot be kept as JSON.
    """
    hints = read_hints(str(step), handler)
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(handler).parameters.items():
        if is_output(parameter.default):
            found[name] = parameter.default
        elif parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            continue
        elif name not in hints:
            msg = (
                f"{step}: the parameter {name!r} has no type, and a step's parameters are filled by their types. "
                f"For the run itself write '{name}: ps.Context[{step.pipeline.unit.__name__}]'."
            )
            raise DefinitionError(msg)
        else:
            found[name] = hints[name]
    is_async = inspect.iscoroutinefunction(handler)
    takes_transaction = any(want is Transaction for want in found.values())
    if not is_async and takes_transaction:
        msg = (
            f"{step} is a plain def and asks for the step's transaction, which is async. Make it 'async def', and "
            f"compute in a plain def step before it or in asyncio.to_thread."
        )
        raise DefinitionError(msg)
    if step.cpu:
        _check_cpu(step, found, is_async=is_async)
    returns = hints.get("return", type(None))
    batch = typing.get_origin
    return Signature(
        parameters=found,
        returns=returns,
        adapter=_adapter(step, returns),
        is_async=is_async,
        takes_batch=any(batch(w) is list and typing.get_args(w) == (step.pipeline.unit,) for w in found.values()),
        takes_transaction=takes_transaction,
    )


def read_hints(owner: str, function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function or a class's constructor, resolved.

    Raises:
        DefinitionError: One of them is not there at run time.
    """
    try:
        return typing.get_type_hints(
            vars(function)["__init__"] if _has_constructor(function) else function, include_extras=True
        )
    except NameError as error:
        msg = (
            f"{owner}: the annotation {error.name!r} cannot be read at run time. It is imported under "
            f"'if TYPE_CHECKING:' or defined inside a function; Penstock fills a step's parameters by their types, "
            f'so import it plainly (ruff: runtime-evaluated-decorators = ["penstock.Pipeline.step"]).'
        )
        raise DefinitionError(msg) from None


def _has_constructor(function: Callable[..., Any]) -> bool:
    return isinstance(function, type) and "__init__" in vars(function)


def is_output(default: object) -> bool:
    """Whether a default is `step.output`; told by its type's name, since the two modules need each other."""
    return type(default).__name__ == "OutputOf" and type(default).__module__ == "penstock.definition.step"


def _check_cpu(step: Step[Any], found: Mapping[str, Any], *, is_async: bool) -> None:
    if is_async:
        msg = f"{step}: cpu=True runs a plain function in a worker process; make it 'def'."
        raise DefinitionError(msg)
    for name, want in found.items():
        if want is Transaction or (typing.get_origin(want) or want) is Context:
            msg = (
                f"{step}: cpu=True runs in a worker process, which is given only units, params, settings and outputs; "
                f"'{name}: {show(want)}' cannot go there. Ask for it in a step before or after."
            )
            raise DefinitionError(msg)


def _adapter(step: Step[Any], returns: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(returns)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        msg = (
            f"{step} returns {show(returns)}, which cannot be kept as JSON. Rows do not travel through the ledger: "
            f"put them in a table (penstock.data.load) or a file (ctx.workdir) and return a small value that says "
            f"where they are, such as a dataclass or penstock.data.Loaded."
        )
        raise DefinitionError(msg) from None
