"""The faces of a service: REST and gRPC, each thin over the same operations."""
