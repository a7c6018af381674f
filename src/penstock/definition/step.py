"""Steps: named pieces of work with a typed output."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

from penstock.definition.signature import Signature, read_signature
from penstock.model.errors import DefinitionError
from penstock.model.shape import OnFailure, When
from penstock.model.states import ErrorClass
from penstock.model.values import Retry, Seconds

if TYPE_CHECKING:
    from penstock.definition.pipeline import Pipeline

T = TypeVar("T")
P = ParamSpec("P")

Retries: TypeAlias = Retry | Mapping[ErrorClass, Retry]


class OutputOf:
    """Stands in a signature for an earlier step's output; Penstock puts the value there."""

    __slots__ = ("many", "step")

    def __init__(self, step: Step[Any], *, many: bool = False) -> None:
        self.step, self.many = step, many

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        msg = f"{self.step.name}.output is filled in when Penstock runs the step; in a direct call pass the value."
        raise TypeError(msg)


class Step(Generic[T]):
    """A named piece of work; made by `@pipeline.step`."""

    def __init__(
        self,
        pipeline: Pipeline[Any],
        handler: Callable[..., Any],
        *,
        name: str,
        after: Sequence[Step[Any]],
        when: When,
        on_failure: OnFailure,
        parallel: int,
        retry: Retries | None,
        timeout: Seconds | None,
        cpu: bool,
    ) -> None:
        self.pipeline, self.handler, self.name = pipeline, handler, name
        self.when: When = when
        self.on_failure: OnFailure = on_failure
        self.parallel = parallel
        self.retry, self.timeout, self.cpu = retry, timeout, cpu
        self.__doc__ = handler.__doc__
        self.signature: Signature = read_signature(self, handler)
        inputs = [want.step for want in self.signature.parameters.values() if isinstance(want, OutputOf)]
        self.after: tuple[Step[Any], ...] = tuple(dict.fromkeys([*after, *inputs]))
        if when != "ok":
            if after:
                msg = f"{self} is a closing step (when={when!r}), which runs when all else is over: leave out after=."
                raise DefinitionError(msg)
            self.after = ()
        for earlier in [*after, *inputs]:
            if earlier.pipeline is not pipeline:
                msg = (
                    f"{self} comes after {earlier}, a step of another pipeline. Steps are ordered within a pipeline; "
                    f"to run {pipeline.name} when {earlier.pipeline.name} has ended, say "
                    f"Pipeline({pipeline.name!r}, after={earlier.pipeline.name})."
                )
                raise DefinitionError(msg)
        for earlier in inputs:
            read = f"read ctx.outcome({earlier.name}), which has the state and the error too."
            if when != "ok":
                msg = (
                    f"{self} takes {earlier.name}.output, but is a closing step (when={when!r}), which runs whatever "
                    f"became of {earlier.name}, so there may be none. Leave the parameter out and {read}"
                )
                raise DefinitionError(msg)
            if earlier.on_failure == "continue":
                msg = (
                    f"{self} takes {earlier.name}.output, but {earlier.name} may fail and let the run go on "
                    f"(on_failure='continue'), so there may be none. Say after={earlier.name} and {read}"
                )
                raise DefinitionError(msg)

    @property
    def output(self) -> T:
        """As a parameter's default: what this step returned. It also makes the edge between the two."""
        return cast("T", OutputOf(self))

    @property
    def outputs(self) -> list[T]:
        """The same for a step that ran once per unit, in a later step that runs once per batch."""
        return cast("list[T]", OutputOf(self, many=True))

    @property
    def per_unit(self) -> bool:
        """Whether a batch calls it once for each unit."""
        return not self.signature.takes_batch

    def __repr__(self) -> str:
        return f"{self.pipeline.name}.{self.name}"


class AsyncStep(Step[T], Generic[P, T]):
    """A step whose handler is `async def`; calling it calls the handler."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
        return cast("Coroutine[Any, Any, T]", self.handler(*args, **kwargs))


class PlainStep(Step[T], Generic[P, T]):
    """A step whose handler is `def`; calling it calls the handler."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast("T", self.handler(*args, **kwargs))


class StepDecorator(Protocol):
    """What `@pipeline.step(...)` with options gives."""

    @overload
    def __call__(self, handler: Callable[P, Coroutine[Any, Any, T]], /) -> AsyncStep[P, T]: ...  # type: ignore[overload-overlap]  # pyright: ignore[reportOverlappingOverload]
    @overload
    def __call__(self, handler: Callable[P, T], /) -> PlainStep[P, T]: ...
