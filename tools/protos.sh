#!/bin/sh
# Makes Python of the .proto files in src/penstock/api/grpc/v1. What it makes is committed, and a test compares.
# OUT is another folder to write to.
set -eu
cd "$(dirname "$0")/.."

out=${OUT:-src}
# mypy and mypy_grpc are plugins that protoc finds in PATH.
PATH="$(pwd)/.venv/bin:$PATH" .venv/bin/python -m grpc_tools.protoc -I src \
    --python_out="$out" --mypy_out=quiet:"$out" --grpc_python_out="$out" --mypy_grpc_out=quiet:"$out" \
    src/penstock/api/grpc/v1/*.proto
rm -f "$out"/penstock/api/grpc/v1/options_pb2_grpc.py*  # there is no service in it
