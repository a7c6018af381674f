"""Worker processes for handlers that compute: started when first needed, killed when their time is over."""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from penstock.definition.step import Step
from penstock.model.errors import DefinitionError, StepError
from penstock.model.redaction import redact, traced


class WorkerDied(StepError):  # noqa: N818 - what happened
    """The worker process ended without an answer: it was killed, or the handler ended it."""


class ProcessPool:
    """Idle worker processes, each with one call at a time."""

    def __init__(self) -> None:
        self._idle: list[_Worker] = []

    async def call(self, step: Step[Any], arguments: dict[str, Any]) -> Any:
        """Run the step's handler in a worker process; being cancelled kills that process.

        Raises:
            WorkerDied: The process ended without an answer.
        """
        worker = self._idle.pop() if self._idle else _Worker()
        try:
            ok, answer = await worker.ask((step.handler.__module__, step.pipeline.name, step.name, arguments))
        except BaseException:
            worker.kill()
            raise
        self._idle.append(worker)
        if not ok:
            raise answer
        return answer

    async def close(self) -> None:
        """End the idle ones."""
        while self._idle:
            self._idle.pop().kill()


class _Worker:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process: SpawnProcess = context.Process(target=serve, args=(theirs, sys.path, redact.known), daemon=True)
        self._process.start()
        theirs.close()

    async def ask(self, question: Any) -> tuple[bool, Any]:
        loop = asyncio.get_running_loop()
        self._pipe.send(question)
        arrived: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._pipe.fileno(), _arrive, arrived)
        try:
            await arrived
        finally:
            loop.remove_reader(self._pipe.fileno())
        try:
            ok, answer = self._pipe.recv()
        except EOFError:
            self._process.join(timeout=5)
            msg = f"the worker process ended without an answer (exit code {self._process.exitcode})"
            raise WorkerDied(msg) from None
        return bool(ok), answer

    def kill(self) -> None:
        self._process.kill()
        self._process.join(timeout=5)
        self._pipe.close()


def _arrive(arrived: asyncio.Future[None]) -> None:
    if not arrived.done():
        arrived.set_result(None)


def serve(pipe: Connection, path: list[str], secrets: tuple[str, ...] = ()) -> None:
    """The worker's life: questions in, answers out, until the pipe closes.

    What it is given comes through the pipe that starts it, and is in no list of processes.
    """
    sys.path[:] = path
    redact.learn(*secrets)
    while True:
        try:
            module, pipeline, step, arguments = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            answer = (True, find_handler(module, pipeline, step)(**arguments))
        except Exception as error:  # noqa: BLE001 - the other side classifies it
            answer = (False, error)
        except BaseException as error:
            if isinstance(error, SystemExit) and not isinstance(error.code, str):
                raise
            sys.stderr.write(f"{traced(error)}\n")  # multiprocessing would show it as it is
            raise SystemExit(1) from None
        try:
            pipe.send(answer)
        except Exception as error:  # noqa: BLE001 - what cannot be pickled is told as text
            pipe.send((False, StepError(f"{type(error).__name__}: {error}")))


def find_handler(module: str, pipeline: str, step: str) -> Any:
    """A handler by the names that travel: the pipeline is looked up in the module that defines the handler.

    Raises:
        DefinitionError: The module has no such pipeline; it must be there by import, not made by a function.
    """
    for value in list(vars(import_module(module)).values()):
        if type(value).__name__ == "Pipeline" and value.name == pipeline and step in value.steps:
            return value.steps[step].handler
        if isinstance(value, Step) and value.name == step and value.pipeline.name == pipeline:
            return value.handler
    msg = (
        f"{pipeline}.{step}: cpu=True needs the pipeline at the top of its module {module}, so that a worker finds it."
    )
    raise DefinitionError(msg)
