"""The protocol: what is generated is what the .proto files say, and no method can be forgotten."""

from __future__ import annotations

import math
import os
import re
import subprocess
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor_pool import DescriptorPool
from hypothesis import given
from hypothesis import strategies as st

from penstock.api.grpc.binding import Binding
from penstock.api.grpc.guard import Guard, rule_of
from penstock.api.grpc.serving import SERVICERS, services
from penstock.api.grpc.statuses import Refusal
from penstock.api.grpc.structs import EXACT, plain, struct
from penstock.api.grpc.v1 import options_pb2

ROOT = Path(__file__).parents[2]
PROTOCOL = ROOT / "src/penstock/api/grpc/v1"


def test_what_is_generated_is_up_to_date(tmp_path: Path) -> None:
    folder = tmp_path / "penstock/api/grpc/v1"
    folder.mkdir(parents=True)
    made = subprocess.run(
        ["sh", "tools/protos.sh"], cwd=ROOT, env={**os.environ, "OUT": str(tmp_path)}, capture_output=True, text=True,
        check=False, timeout=100,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    fresh = {path.name: path.read_text() for path in folder.iterdir()}
    kept = {path.name: path.read_text() for path in PROTOCOL.glob("*_pb2*") if path.is_file()}
    assert sorted(fresh) == sorted(kept)
    assert [name for name in fresh if fresh[name] != kept[name]] == [], "run sh tools/protos.sh"


def test_every_service_in_the_protocol_is_served() -> None:
    written = {
        line.split()[1]
        for path in PROTOCOL.glob("*.proto")
        for line in path.read_text().splitlines()
        if line.startswith("service ")
    }
    assert written == set(services()) == set(SERVICERS)
    assert {service.full_name.rpartition(".")[0] for service in services().values()} == {"penstock.v1"}


def test_the_reference_has_every_method_with_its_role() -> None:
    text = (ROOT / "docs/reference/grpc.md").read_text()
    told = re.findall(r"^\| `(\w+\.\w+)` \| (\w+) \| (.*) \|$", text, re.MULTILINE)
    rules = {
        f"{name}.{method.name}": rule_of(method) for name, service in services().items() for method in service.methods
    }
    assert {name: role for name, role, _ in told} == {name: rule.role for name, rule in rules.items()}
    whole = {name for name, _, what in told if what.endswith("(1)")}
    assert whole == {name for name, rule in rules.items() if rule.all_organizations}


def test_a_method_that_is_missing_or_says_no_role_is_not_served() -> None:
    gateway: Any = None
    binding = Binding(gateway, Guard(gateway))
    with pytest.raises(TypeError, match=r"object has no method for penstock\.v1\.Plans\.ListPipelines"):
        binding.handler(services()["Plans"], object())

    file = descriptor_pb2.FileDescriptorProto(name="open.proto", package="open", syntax="proto3")
    file.message_type.add(name="Nothing")
    file.service.add(name="Open").method.add(name="Door", input_type=".open.Nothing", output_type=".open.Nothing")
    pool = DescriptorPool()
    pool.Add(file)
    method = pool.FindServiceByName("open.Open").methods_by_name["Door"]
    with pytest.raises(TypeError, match=r"open\.Open\.Door: say who may call it"):
        rule_of(method)
    assert options_pb2.Role.Value("ROLE_UNSPECIFIED") == 0


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-EXACT, EXACT)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
    | st.text()
)
bodies = st.dictionaries(
    st.text(), st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
)


@given(bodies)
def test_a_json_object_goes_there_and_back(body: dict[str, Any]) -> None:
    assert plain(struct(body), "body") == body


def test_what_json_has_not_becomes_text() -> None:
    run = UUID(int=7)
    body = {
        "big": 2**60, "nan": math.nan, "run": run, "price": Decimal("0.10"), "day": date(2024, 12, 20),
        "at": datetime(2024, 12, 20, 6, tzinfo=UTC), "raw": b"\xff", "odd": object,
    }  # fmt: skip
    found = plain(struct(body), "body")
    assert found == {
        "big": str(2**60), "nan": "nan", "run": str(run), "price": "0.10", "day": "2024-12-20",
        "at": "2024-12-20T06:00:00Z", "raw": "_w==", "odd": str(object),
    }  # fmt: skip


@pytest.mark.parametrize("number", [math.nan, math.inf, 2.0**60, -(2.0**60)])
def test_a_number_that_is_none_or_not_exact_is_refused(number: float) -> None:
    made = struct({"a": {"b": [1]}})
    made.fields["a"].struct_value.fields["b"].list_value.values[0].number_value = number
    with pytest.raises(Refusal, match=r"where\.a\.b\.0: "):
        plain(made, "where")
