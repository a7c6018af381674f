"""Calling a handler so that it ends: in the loop, in a thread, or in a process of its own, within its time."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, Final

from penstock.definition.step import Step
from penstock.engines.executor.carried import Carried
from penstock.engines.executor.context import RunningContext
from penstock.engines.executor.processes import ProcessPool
from penstock.engines.executor.stubborn import end_without_waiting

STUBBORN: Final = 30.0
"""Seconds that an interrupted handler may take to go before its process stops claiming."""
FORKED: Final = 70
"""The exit status of a forked child that was ended."""


class Interrupted(BaseException):
    """Injected into a handler's thread when its time is over or its run is cancelled."""


class Cancelled(Exception):  # noqa: N818 - what happened
    """The handler was interrupted because somebody cancelled the run."""


class StubbornHandler(Exception):  # noqa: N818 - what it is
    """An interrupted handler did not go; this process must not go on as if it had."""


class Caller:
    """Calls handlers; one per engine.

    Args:
        threads: Plain handlers at once.
    """

    def __init__(self, threads: int) -> None:
        self._threads = ThreadPoolExecutor(max_workers=max(1, threads), thread_name_prefix="penstock-step")
        self._processes = ProcessPool()
        self.on_stubborn: Callable[[str], None] = _ignore

    async def attempt(
        self,
        run: Carried,
        step: Step[Any],
        context: RunningContext,  # noqa: ARG002 - for callers that look whom they call for
        fill: Callable[[], Awaitable[Mapping[str, Any]]],
        timeout: float | None,  # noqa: ASYNC109 - handed on
    ) -> Any:
        """Fill the step's parameters and call its handler; see `call` for what it raises."""
        return await self.call(run, step, await fill(), timeout)

    async def call(
        self,
        run: Carried,
        step: Step[Any],
        arguments: Mapping[str, Any],
        timeout: float | None,  # noqa: ASYNC109 - handed on
    ) -> Any:
        """Call the step's handler.

        Args:
            run: Whose cancel interrupts it.
            step: The step.
            arguments: Its parameters.
            timeout: Seconds it may take; None for no limit.

        Raises:
            TimeoutError: It took longer; it is gone.
            Cancelled: The run was cancelled; it is gone.
            StubbornHandler: It was interrupted and would not go.
        """
        if step.signature.is_async:
            return await self._in_loop(run, step, arguments, timeout)
        if step.cpu:
            return await self._in_process(run, step, arguments, timeout)
        return await self._in_thread(run, step, arguments, timeout)

    async def close(self) -> None:
        """End threads that are idle and worker processes."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._processes.close()

    async def _in_loop(
        self,
        run: Carried,
        step: Step[Any],
        arguments: Mapping[str, Any],
        timeout: float | None,  # noqa: ASYNC109
    ) -> Any:
        """With no limit a plain cancel does; it costs a third of a timeout's scope."""
        if timeout is None:
            return await self._until_cancelled(run, step, arguments)
        loop, scope = asyncio.get_running_loop(), asyncio.timeout(timeout)
        cancelled = False

        def interrupt() -> None:
            nonlocal cancelled
            cancelled = True
            scope.reschedule(loop.time())

        late = loop.call_later(timeout + STUBBORN, self._gives_up, step)
        here = os.getpid()
        run.interrupts.append(interrupt)
        try:
            async with scope:
                return await step.handler(**arguments)
        except TimeoutError:
            if cancelled:
                raise Cancelled from None
            if scope.expired():
                raise TimeoutError(_too_long(step, timeout)) from None
            raise
        finally:
            _end_if_forked(step, here)
            late.cancel()
            run.interrupts.remove(interrupt)

    def _gives_up(self, step: Step[Any]) -> None:
        self.on_stubborn(f"{step} was interrupted and did not go within {STUBBORN:.0f} s.")

    async def _until_cancelled(self, run: Carried, step: Step[Any], arguments: Mapping[str, Any]) -> Any:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        cancelled = False
        late: asyncio.TimerHandle | None = None

        def interrupt() -> None:
            nonlocal cancelled, late
            if task is not None and not cancelled:
                cancelled = True
                task.cancel()
                late = loop.call_later(STUBBORN, self._gives_up, step)

        here = os.getpid()
        run.interrupts.append(interrupt)
        try:
            return await step.handler(**arguments)
        except asyncio.CancelledError:
            if cancelled and task is not None and task.cancelling() == 1:
                raise Cancelled from None
            raise
        finally:
            _end_if_forked(step, here)
            run.interrupts.remove(interrupt)
            if late is not None:
                late.cancel()
            if cancelled and task is not None:
                task.uncancel()

    async def _in_thread(
        self,
        run: Carried,
        step: Step[Any],
        arguments: Mapping[str, Any],
        timeout: float | None,  # noqa: ASYNC109
    ) -> Any:
        thread = _Thread(step, arguments)
        task = self._threads.submit(copy_context().run, thread.run)
        future = asyncio.wrap_future(task)
        try:
            why = await _until(run, future, timeout)
        except asyncio.CancelledError:
            if not task.cancel():
                thread.interrupt()
                if future in (await asyncio.wait([future], timeout=STUBBORN))[1]:
                    end_without_waiting(thread.is_busy)
            raise
        if why is None:
            return await future
        if not task.cancel():
            thread.interrupt()
        done, _ = await asyncio.wait([future], timeout=STUBBORN)
        if not done:
            end_without_waiting(thread.is_busy)
            raise StubbornHandler(f"{step} was interrupted and did not go within {STUBBORN:.0f} s.")
        if not future.cancelled() and future.exception() is None:
            return future.result()  # it had ended by itself
        raise Cancelled if why == "cancel" else TimeoutError(_too_long(step, timeout))

    async def _in_process(
        self,
        run: Carried,
        step: Step[Any],
        arguments: Mapping[str, Any],
        timeout: float | None,  # noqa: ASYNC109
    ) -> Any:
        call = asyncio.create_task(self._processes.call(step, dict(arguments)))
        try:
            why = await _until(run, call, timeout)
        except asyncio.CancelledError:
            call.cancel()
            raise
        if why is None:
            return await call
        call.cancel()  # which kills the worker process
        await asyncio.wait([call])
        raise Cancelled if why == "cancel" else TimeoutError(_too_long(step, timeout))


class _Thread:
    """A call in a thread, which can be interrupted while the handler runs and not after."""

    def __init__(self, step: Step[Any], arguments: Mapping[str, Any]) -> None:
        self._step, self._arguments = step, arguments
        self._guard = threading.Lock()
        self._inside: int | None = None

    def run(self) -> Any:
        me, here = threading.get_ident(), os.getpid()
        try:
            self._inside = me
            return self._step.handler(**self._arguments)
        except StopIteration as error:  # a future refuses to carry it, and would never be done
            raise RuntimeError(f"{self._step} raised StopIteration") from error
        finally:
            _end_if_forked(self._step, here)
            with self._guard:
                self._inside = None
            _inject(me, None)  # what was injected too late must not hit the thread's next work

    def is_busy(self) -> bool:
        """The handler has not gone yet."""
        return self._inside is not None

    def interrupt(self) -> None:
        with self._guard:
            if self._inside is not None:
                _inject(self._inside, Interrupted)


def _inject(thread: int, error: type[BaseException] | None) -> None:
    """Raise this in a thread at its next step in Python; None takes back what was not raised yet."""
    given = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), given)


def _end_if_forked(step: Step[Any], here: int) -> None:
    """A child that comes back from a handler is a copy of this process, with copies of its connections and its work."""
    if os.getpid() != here:
        said = f"{step} forked, and the child came back from it: it was ended. Let a child end by os._exit, or exec.\n"
        os.write(sys.stderr.fileno(), said.encode())
        os._exit(FORKED)


def _ignore(_: str) -> None:
    """Nobody wants to know."""


CALLERS: Final = frozenset({Caller._in_loop.__code__, Caller._until_cancelled.__code__})  # noqa: SLF001 - this module's
"""The code that awaits async handlers: where it stands on the stack, `run` and `step` say whose handler runs."""


async def _until(run: Carried, future: asyncio.Future[Any], timeout: float | None) -> str | None:  # noqa: ASYNC109
    """Wait for the handler, its time or a cancel, whichever is first; None when the handler was."""
    cancel = asyncio.get_running_loop().create_future()

    def interrupt() -> None:
        if not cancel.done():
            cancel.set_result(None)

    run.interrupts.append(interrupt)
    try:
        done, _ = await asyncio.wait([future, cancel], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        run.interrupts.remove(interrupt)
        cancel.cancel()
    if future in done:
        return None
    return "cancel" if cancel in done else "timeout"


def _too_long(step: Step[Any], timeout: float | None) -> str:
    return f"{step} took longer than {timeout:g} s" if timeout is not None else f"{step} timed out"
