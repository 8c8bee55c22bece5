"""Backends of commands: the services in this process, or running ones over gRPC.

Commands use `cli.backend.protocol.Backend` only; the global options select the implementation.
"""
