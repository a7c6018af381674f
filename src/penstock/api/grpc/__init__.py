"""gRPC: the operations of a service for programs, with health, reflection and a stream of events."""
