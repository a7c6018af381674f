"""What an app holds: its pipelines and what their steps share, checked so that every parameter can be filled."""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from penstock.definition.context import Context, Transaction
from penstock.definition.pipeline import Pipeline
from penstock.definition.signature import read_hints
from penstock.definition.step import OutputOf, Step
from penstock.definition.units import show
from penstock.model.errors import DefinitionError, NotFound
from penstock.model.names import check_name
from penstock.model.spelling import did_you_mean
from penstock.model.states import ErrorClass
from penstock.model.values import SqlGaps

_GENERATORS = (AsyncIterator, Iterator, AsyncGenerator, Generator)


class Registry:
    """Pipelines and resources of one app.

    Args:
        name: The app's name.
        pipelines: All of them.
        settings: The settings class, told apart by type like a resource.
        resources: Values, classes, or functions that yield or return one.
        errors: Foreign exceptions and their class.
        own: Types that the app itself gives, such as the client, by their name in messages.

    Raises:
        DefinitionError: Two resources of one type, two pipelines of one name, a parameter that nothing gives.
    """

    def __init__(
        self,
        name: str,
        pipelines: Sequence[Pipeline[Any]],
        *,
        settings: type[Any] | None = None,
        resources: Sequence[object] = (),
        errors: Mapping[type[Exception], ErrorClass] | None = None,
        own: Mapping[type[Any], str] | None = None,
    ) -> None:
        check_name("App", name)
        self.name, self.settings = name, settings
        self.errors: dict[type[Exception], ErrorClass] = dict(errors or {})
        self.own = dict(own or {})
        self.pipelines: dict[str, Pipeline[Any]] = {}
        for pipeline in pipelines:
            if pipeline.name in self.pipelines:
                msg = f"App({name!r}): two pipelines are called {pipeline.name!r}; a run is found again by that name."
                raise DefinitionError(msg)
            self.pipelines[pipeline.name] = pipeline
        self.resources: dict[Any, object] = {}
        for resource in resources:
            self._give(resource)
        for pipeline in pipelines:
            self._check_pipeline(pipeline)
        for kind, resource in self.resources.items():
            for parameter, want in wants_of(resource).items():
                self.check_shared(f"App({name!r}), the resource that gives {show(kind)}", parameter, want)

    def pipeline(self, name: str) -> Pipeline[Any]:
        """The pipeline of this name.

        Raises:
            NotFound: There is none; the message names the nearest.
        """
        if name not in self.pipelines:
            there = f"; it has {', '.join(self.pipelines)}."
            hint = did_you_mean(name, self.pipelines, otherwise=there, quoted=True)
            msg = f"No pipeline is called {name} in app {self.name}{hint}"
            raise NotFound(msg)
        return self.pipelines[name]

    def _give(self, resource: object) -> None:
        kind = gives(resource)
        if kind in self.resources or kind is self.settings:
            other = self.resources.get(kind, self.settings)
            msg = (
                f"App({self.name!r}): both {_name(other)} and {_name(resource)} give {show(kind)}. "
                f"Resources are told apart by type: wrap one in a class of its own."
            )
            raise DefinitionError(msg)
        self.resources[kind] = resource

    def _check_pipeline(self, pipeline: Pipeline[Any]) -> None:
        if not pipeline.steps:
            msg = (
                f"{pipeline.name} has no steps when App({self.name!r}) is made. Import the module that has its "
                f"@{pipeline.name}.step functions before the app, or make the app last."
            )
            raise DefinitionError(msg)
        for step in pipeline.steps.values():
            for parameter, want in step.signature.parameters.items():
                self._check_parameter(pipeline, step, parameter, want)
        gaps = pipeline.gaps
        source = gaps.binds if isinstance(gaps, SqlGaps) else gaps
        if callable(source):
            for parameter, want in wants_of(source).items():
                self.check_shared(f"{pipeline.name}, its function {_name(source)}", parameter, want)

    def _check_parameter(self, pipeline: Pipeline[Any], step: Step[Any], parameter: str, want: Any) -> None:
        if isinstance(want, OutputOf) or want is Transaction or want is pipeline.unit:
            return
        origin, args = typing.get_origin(want) or want, typing.get_args(want)
        if origin is Context:
            if args and args[0] is not pipeline.unit:
                msg = (
                    f"{step}: {parameter} is a Context[{show(args[0])}], but the unit of {pipeline.name} is "
                    f"{pipeline.unit.__name__}."
                )
                raise DefinitionError(msg)
            return
        if (origin is list and args == (pipeline.unit,)) or (pipeline.params is not None and want is pipeline.params):
            return
        if step.cpu and want is not self.settings:
            msg = (
                f"{step}: cpu=True runs in a worker process, which is given only units, params, settings and outputs; "
                f"'{parameter}: {show(want)}' cannot go there. Use it in a step before or after."
            )
            raise DefinitionError(msg)
        self.check_shared(str(step), parameter, want, [pipeline.unit.__name__, "ps.Context", "ps.Transaction"])

    def check_shared(self, owner: str, parameter: str, want: Any, more: Iterable[str] = ()) -> None:
        """Raise a DefinitionError when nothing gives what this parameter asks for."""
        if want in self.resources or want in self.own or (self.settings is not None and want is self.settings):
            return
        shared = [show(kind) for kind in ([self.settings] if self.settings else []) + list(self.resources)]
        known = ", ".join([*more, *shared])
        ask = (
            f"Here a step can ask for {known}, or an earlier step's output (x: T = step.output)."
            if more
            else (f"It can ask for {known}." if known else "There is nothing yet that it can ask for.")
        )
        msg = (
            f"{owner}: nothing gives its parameter '{parameter}: {show(want)}'. Add what makes it to "
            f"App({self.name!r}, resources=[...]): a value, a class, or a function that yields one. {ask}"
        )
        raise DefinitionError(msg)


def gives(resource: object) -> Any:
    """The type that a resource gives: a class gives itself, a function what it yields or returns, a value its type.

    Raises:
        DefinitionError: A function does not say.
    """
    if isinstance(resource, type):
        return resource
    if inspect.isroutine(resource):
        returns = read_hints(_name(resource), resource).get("return")
        if typing.get_origin(returns) in _GENERATORS:
            return typing.get_args(returns)[0]
        if returns is None:
            msg = f"{_name(resource)} must say what it gives, such as -> AsyncIterator[Client]."
            raise DefinitionError(msg)
        return returns
    return type(resource)


def wants_of(resource: object) -> dict[str, Any]:
    """The parameters of a class's constructor or of a function that have no default, with their types.

    Raises:
        DefinitionError: One has no type.
    """
    if not (isinstance(resource, type) or inspect.isroutine(resource)):
        return {}
    function: Callable[..., Any] = resource
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # a builtin class without a signature asks for nothing
        return {}
    needed = {
        name: parameter
        for name, parameter in parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    if not needed:
        return {}
    hints = read_hints(_name(resource), function)
    for name in needed:
        if name not in hints:
            msg = f"{_name(resource)}: the parameter {name!r} has no type, and parameters are filled by their types."
            raise DefinitionError(msg)
    return {name: hints[name] for name in needed}


def _name(resource: object) -> str:
    return str(getattr(resource, "__name__", type(resource).__name__))
