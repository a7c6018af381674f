"""The protocol, package `penstock.v1`: .proto files, and what `tools/protos.sh` makes of them."""
