"""From the protocol to servicers: every method that a service has is found, guarded, called, answered and told of.

Requests come and answers go as bytes, so that a request that cannot be read is the caller's error and not the server's,
and an answer that is kept is given again byte for byte.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from uuid import uuid4

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from penstock.api.grpc.asked import Asked
from penstock.api.grpc.guard import Guard, Metadata, Rule, check_text, first, rule_of
from penstock.api.grpc.statuses import AGAIN, HTTP, Refusal, invalid, refusal_of
from penstock.model.errors import PenstockError
from penstock.model.redaction import traced
from penstock.model.token import ApiToken
from penstock.operations.gateway import Gateway

Context: TypeAlias = grpc.aio.ServicerContext[bytes, bytes]
Work: TypeAlias = Callable[["Call"], Coroutine[Any, Any, Any]]
ID: Final = re.compile(r"[0-9A-Za-z._:-]{1,64}")
LOOK: Final = 30.0
"""Seconds after which a stream's token is looked at again: one that was revoked ends it."""
_WORDS: Final = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(slots=True, kw_only=True)
class Call:
    """One call under way."""

    rule: Rule
    context: Context
    id: str
    metadata: Metadata
    token: ApiToken | None = None
    began: float = field(default_factory=time.perf_counter)


class Binding:
    """Makes what a server needs of servicers.

    Args:
        gateway: The service.
        guard: Lets calls in.
        look: Seconds between looks at a stream's token.
    """

    def __init__(self, gateway: Gateway, guard: Guard, *, look: float = LOOK) -> None:
        self._gateway, self._guard, self._look = gateway, guard, look
        self._log = structlog.get_logger("penstock.grpc")

    def handler(self, service: ServiceDescriptor, servicer: object) -> grpc.GenericRpcHandler:
        """All methods of a service.

        Args:
            service: Its descriptor.
            servicer: Has a method for each: `ListPlans` is `list_plans(asked, request)`.

        Raises:
            TypeError: One is missing, or the protocol does not say who may call it.
        """
        methods = {method.name: self._method(method, servicer) for method in service.methods}
        return grpc.method_handlers_generic_handler(service.full_name, methods)

    def _method(self, method: MethodDescriptor, servicer: object) -> Any:
        work = getattr(servicer, _WORDS.sub("_", method.name).lower(), None)
        if work is None:
            msg = f"{type(servicer).__name__} has no method for {method.full_name}"
            raise TypeError(msg)
        rule, kind = rule_of(method), GetMessageClass(method.input_type)
        if method.client_streaming:
            msg = f"{method.full_name}: nothing here takes a stream"
            raise TypeError(msg)
        library: Any = grpc  # its types know no bytes
        if method.server_streaming:
            return library.unary_stream_rpc_method_handler(self._streaming(rule, kind, work))
        return library.unary_unary_rpc_method_handler(self._answering(rule, kind, work))

    def _answering(
        self, rule: Rule, kind: type[Message], work: Callable[[Asked, Any], Awaitable[Message]]
    ) -> Callable[[bytes, Context], Coroutine[Any, Any, bytes]]:
        async def answer(raw: bytes, context: Context) -> bytes:
            async def body(call: Call) -> bytes:
                asked, request = await self._admit(call, kind, raw)

                async def done() -> bytes:
                    return (await work(asked, request)).SerializeToString()

                return await self._guard.once(rule, asked.token, call.metadata, request, done)

            found: bytes = await self._told(rule, context, body)
            return found

        return answer

    def _streaming(
        self, rule: Rule, kind: type[Message], work: Callable[[Asked, Any, Context], AsyncGenerator[Message]]
    ) -> Callable[[bytes, Context], Coroutine[Any, Any, None]]:
        async def stream(raw: bytes, context: Context) -> None:
            async def body(call: Call) -> None:
                asked, request = await self._admit(call, kind, raw)

                async def pump() -> None:
                    async for message in work(asked, request, context):
                        await context.write(message.SerializeToString())

                await self._while_welcome(call, pump())

            await self._told(rule, context, body)

        return stream

    async def _admit(self, call: Call, kind: type[Message], raw: bytes) -> tuple[Asked, Message]:
        call.token = await self._guard.token(call.metadata)
        await self._guard.rate(call.token)
        asked = self._guard.ask(call.token, call.rule)
        try:
            request = kind.FromString(raw)
        except DecodeError:
            raise invalid(f"The request is no {kind.DESCRIPTOR.full_name}.") from None
        check_text(request)
        return asked, request

    async def _while_welcome(self, call: Call, pump: Coroutine[Any, Any, None]) -> None:
        """Stream until its end, the service's, or the token's."""
        work = asyncio.create_task(pump)
        stopping = asyncio.create_task(self._gateway.stopping.wait())
        revoked = asyncio.create_task(self._revoked(call.metadata))
        tasks: list[asyncio.Task[Any]] = [work, revoked, stopping]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            if revoked.done():
                await revoked
            if self._gateway.stopping.is_set():
                detail = "The service is stopping; go on with another one, after the last position."
                raise Refusal(grpc.StatusCode.UNAVAILABLE, detail, again=1)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _revoked(self, metadata: Metadata) -> None:
        while True:
            await asyncio.sleep(self._look)
            await self._guard.token(metadata)

    async def _told(self, rule: Rule, context: Context, work: Work) -> Any:
        """Do it; whatever happens, the caller gets a status, the log a line, and the count is one more."""
        metadata: Metadata = tuple(context.invocation_metadata() or ())
        given = first(metadata, "x-request-id") or ""
        request_id = given if ID.fullmatch(given) else uuid4().hex[:16]
        call = Call(rule=rule, context=context, id=request_id, metadata=metadata)
        code = grpc.StatusCode.CANCELLED
        try:
            context.set_trailing_metadata((("x-request-id", call.id),))
            found = await work(call)
            code = grpc.StatusCode.OK
            return found  # noqa: TRY300 - its status is told below
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status and the log the traceback
            refusal = self._refusal(call, error)
            code = refusal.code
        finally:
            self._tell(call, code)
        trailing = (("x-request-id", call.id), *refusal.metadata())
        return await context.abort(refusal.code, refusal.detail, trailing_metadata=trailing)

    def _refusal(self, call: Call, error: Exception) -> Refusal:
        known = error if isinstance(error, Refusal) else None
        if isinstance(error, PenstockError):
            known = refusal_of(error)
        if known is not None:
            return known
        self._log.error("a call failed", request_id=call.id, method=call.rule.name, traceback=traced(error))
        return Refusal(grpc.StatusCode.INTERNAL, f"The service's log has more under request {call.id}.")

    def _tell(self, call: Call, code: grpc.StatusCode) -> None:
        seconds = time.perf_counter() - call.began
        if self._gateway.metrics is not None:
            self._gateway.metrics.request(call.rule.name, "POST", HTTP.get(code, 500), seconds)
        self._log.info(
            "call",
            request_id=call.id,
            method=call.rule.name,
            code=code.name,
            ms=round(seconds * 1000, 1),
            token=None if call.token is None else call.token.name,
            org=None if call.token is None else call.token.org,
            client=call.context.peer(),
        )


class Gate(grpc.aio.ServerInterceptor):
    """A token for what is not bound here: reflection shows the protocol to those who may call it.

    Args:
        guard: Lets calls in.
        services: Those that need a token, by their full names.
    """

    def __init__(self, guard: Guard, services: Sequence[str]) -> None:
        self._guard, self._services = guard, tuple(f"/{service}/" for service in services)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """See gRPC."""
        if not handler_call_details.method.startswith(self._services):
            return await continuation(handler_call_details)
        try:
            token = await self._guard.token(tuple(handler_call_details.invocation_metadata))
            await self._guard.rate(token)
        except Refusal as error:
            refusal = error
        except PenstockError as error:
            code = grpc.StatusCode.UNAVAILABLE
            refusal = refusal_of(error) or Refusal(code, "The service cannot answer now.", again=AGAIN)
        else:
            return await continuation(handler_call_details)

        async def refused(_: Any, context: Context) -> None:
            await context.abort(refusal.code, refusal.detail, trailing_metadata=refusal.metadata())

        library: Any = grpc
        return library.stream_stream_rpc_method_handler(refused)
