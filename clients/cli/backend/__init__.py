"""What commands work on: the services in this process, or running ones over gRPC.

Commands know `cli.backend.protocol.Backend` only; which of the two it is, the global options say.
"""
