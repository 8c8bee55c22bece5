"""Common parts of the gRPC services and their clients.

Nothing is imported here; take what you need from its module:

======================== =============================================================
`ktt_rpc.settings`       a server's settings
`ktt_rpc.server_options` the same as options of a command line
`ktt_rpc.server`         `serve` and, for tests, `running_server`
`ktt_rpc.current_call`   the state of the running call; `in_thread`
`ktt_rpc.watching`       the events of a job as an asynchronous stream
`ktt_rpc.paging`         page tokens
`ktt_rpc.job_messages`   jobs to protobuf messages and back
`ktt_rpc.job_calls`      the calls about jobs, for every kind of job
`ktt_rpc.structs`        JSON values to ``google.protobuf.Struct`` and back
`ktt_rpc.errors`         errors to ``google.rpc.Status`` and back
`ktt_rpc.channel`        a client's settings and its channel
`ktt_rpc.client_calls`   calls that are repeated, and watching that reconnects
======================== =============================================================

Importing the package silences gRPC's C core, whose lines on standard error are not JSON; it must be
imported before `grpc`. Set ``GRPC_VERBOSITY=INFO`` to see them.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
