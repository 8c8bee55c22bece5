"""Server reflection, for clients without the contract."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

__all__ = ["offer_reflection"]


def offer_reflection(server: grpc.aio.Server, services: Iterable[str]) -> None:
    """Let clients read the descriptors of a server's services.

    Both versions of the protocol are served: ``v1``, which newer clients try first, differs from
    the library's ``v1alpha`` only in its name.

    Parameters
    ----------
    server : grpc.aio.Server
    services : iterable of str
        Full names.

    Raises
    ------
    LookupError
        If no module with a service's descriptor is imported: the ``_pb2_grpc`` module of a contract
        does not import the ``_pb2`` module beside it.
    """
    names = list(services)
    for name in names:
        try:
            descriptor_pool.Default().FindServiceByName(name)
        except KeyError as error:
            raise LookupError(
                f"no module with the descriptor of {name} is imported; take the service's name "
                "from there: ..._service_pb2.DESCRIPTOR.services_by_name[...].full_name"
            ) from error
    servicer = reflection.aio.ReflectionServicer([*names, reflection.SERVICE_NAME])
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    call = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "grpc.reflection.v1.ServerReflection", {"ServerReflectionInfo": call}
            ),
        )
    )
