"""Requests of every method with values that nobody means well by: each ends with a status that is not our fault."""

from __future__ import annotations

import random
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from penstock.api.grpc.v1 import executions_pb2 as exe
from penstock.api.grpc.v1 import plans_pb2 as pb
from tests.api.conftest import Serve, Served
from tests.api.grpc_caller import connected
from tests.api.test_grpc_walls import code_of, methods

ROUNDS = 12
OURS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}
TEXTS = [
    "", " ", "0", "1", "-1", "7", "99999999999999999999", "ads", "housekeeping", "pipe_456", "2024-12-20", "2024-12-23",
    "9999-12-31", "0000-00-00", "scheduled", "failed", "completed", "viewer", "admin", "retry.attempts", "3",
    "execution.failed", "00000000-0000-0000-0000-000000000000", "\0", "a\0b", "é" * 199, "x" * 3_000, "%s%(x)s", "';--",
    "\u202e\ufffe", "{}", "null", "b3ZlciA5",
]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 500, 501, 2**31 - 1, -(2**31)]
LARGE = [*NUMBERS, 2**53 + 1, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, float("inf"), float("nan"), 2.0**53, 2.0**70]
FIELDS = ["org_id", "feed_id", "name", "day", "fail", "hold", "advertiser", "", "x", "a\0b"]


class Maker:
    """Messages of any type, by chance.

    Args:
        seed: The same one makes the same messages.
        ids: Ids that are really there.
    """

    def __init__(self, seed: int, ids: list[str]) -> None:
        self.chance, self.texts = random.Random(seed), [*TEXTS, *ids * 3]

    def message(self, kind: type[Message], depth: int = 0) -> Any:
        made: Any = kind()
        for field in kind.DESCRIPTOR.fields:
            if self.chance.random() < 0.4 + depth * 0.1:
                continue
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                self._entries(getattr(made, field.name), field.message_type.fields_by_name["value"], depth)
            elif field.is_repeated:
                getattr(made, field.name).extend(self._one(field, depth) for _ in range(self.chance.randrange(3)))
            elif field.message_type is not None:
                getattr(made, field.name).CopyFrom(self._one(field, depth))
            else:
                setattr(made, field.name, self._one(field, depth))
        return made

    def _entries(self, entries: Any, value: Any, depth: int) -> None:
        for name in self.chance.sample(FIELDS, self.chance.randrange(4)):
            if value.message_type is None:
                entries[name] = self._one(value, depth)
            else:
                entries[name].CopyFrom(self._one(value, depth))

    def _one(self, field: Any, depth: int) -> Any:
        if field.message_type is not None:
            return self.message(GetMessageClass(field.message_type), depth + 1)
        match field.type:
            case FieldDescriptor.TYPE_STRING:
                return self.chance.choice(self.texts)
            case FieldDescriptor.TYPE_BOOL:
                return self.chance.random() < 0.5
            case FieldDescriptor.TYPE_DOUBLE:
                return self.chance.choice(DOUBLES)
            case FieldDescriptor.TYPE_INT32:
                return self.chance.choice(NUMBERS)
            case FieldDescriptor.TYPE_INT64:
                return self.chance.choice(LARGE)
            case FieldDescriptor.TYPE_ENUM:
                return 0
            case _:
                raise NotImplementedError(field.full_name)


@pytest.mark.parametrize("org", [None, "7"])
async def test_no_request_is_our_fault(serve: Serve, org: str | None) -> None:
    served: Served = await serve()
    async with connected(served, "admin", org) as caller:
        plan = await caller(caller.plans.Plan, pb.PlanRequest(pipeline="ads"))
        run = await caller(caller.executions.Trigger, exe.TriggerRequest(pipeline_id="pipe_456"))
        backfill = await caller(
            caller.plans.StartBackfill, pb.StartBackfillRequest(pipeline="ads", start="2024-12-22", end="2024-12-23")
        )
        seen: set[grpc.StatusCode] = set()
        for number, (name, method) in enumerate(sorted(methods().items())):
            maker = Maker(number, [plan.id, run.execution_id, backfill.id])
            for _ in range(ROUNDS):
                request = maker.message(GetMessageClass(method.input_type))
                if method.server_streaming:
                    request.after = -1  # a stream without an event would be waited for
                code, detail = await code_of(caller, method, request)
                assert code not in OURS, (name, code, detail, request)
                seen.add(code)
        assert {grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND} <= seen
