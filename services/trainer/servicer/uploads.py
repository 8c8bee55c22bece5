"""The calls about uploads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, ParamSpec, TypeVar

from ktt.trainer.v1 import datasets_pb2
from ktt_core.errors import InvalidArgumentError
from ktt_core.fields import within
from ktt_rpc.current_call import abandoned, in_thread, in_work_thread
from trainer.messages.datasets import upload_to_proto
from trainer.server import TrainerServer
from trainer.servicer.background import finish_in_background
from trainer.upload_info import UploadInfo
from trainer.upload_writer import UploadWriter

__all__ = ["UploadCalls"]

P = ParamSpec("P")
T = TypeVar("T")


class UploadCalls:
    """Creates, writes and deletes uploads."""

    trainer: TrainerServer

    async def CreateUpload(  # noqa: N802
        self, request: datasets_pb2.CreateUploadRequest, context: Any
    ) -> datasets_pb2.CreateUploadResponse:
        """Announce a file."""
        upload = await in_thread(self._create, request)
        return datasets_pb2.CreateUploadResponse(upload=upload_to_proto(upload))

    def _create(self, request: datasets_pb2.CreateUploadRequest) -> UploadInfo:
        uploads = self.trainer.uploads
        upload = uploads.create(request.file_name, request.size_bytes, request.sha256)
        if abandoned():
            # The client never learns its id, and the number of uploads is limited.
            uploads.delete(upload.id)
        return upload

    async def GetUpload(  # noqa: N802
        self, request: datasets_pb2.GetUploadRequest, context: Any
    ) -> datasets_pb2.GetUploadResponse:
        """Return the state of an upload."""
        upload = await in_thread(self.trainer.uploads.get, request.upload_id)
        return datasets_pb2.GetUploadResponse(upload=upload_to_proto(upload))

    async def DeleteUpload(  # noqa: N802
        self, request: datasets_pb2.DeleteUploadRequest, context: Any
    ) -> datasets_pb2.DeleteUploadResponse:
        """Delete an upload."""
        await in_thread(self.trainer.uploads.delete, request.upload_id)
        return datasets_pb2.DeleteUploadResponse()

    async def WriteUpload(  # noqa: N802
        self, requests: AsyncIterator[datasets_pb2.WriteUploadRequest], context: Any
    ) -> datasets_pb2.WriteUploadResponse:
        """Receive bytes; those received before the stream breaks are kept."""
        upload = await self._write(requests)
        return datasets_pb2.WriteUploadResponse(upload=upload_to_proto(upload))

    async def _write(self, requests: AsyncIterator[datasets_pb2.WriteUploadRequest]) -> UploadInfo:
        stack = contextlib.ExitStack()
        writer: UploadWriter | None = None
        try:
            async for request in requests:
                part = request.WhichOneof("part")
                if writer is None:
                    if part != "start":
                        raise InvalidArgumentError(
                            "the first message of the stream must be a start", field="start"
                        )
                    start = request.start
                    opening = self.trainer.uploads.writing(start.upload_id, start.offset)
                    with within("start"):
                        writer = await _to_its_end(stack.enter_context, opening)
                elif part == "chunk":
                    await _to_its_end(writer.write, request.chunk)
                else:
                    raise InvalidArgumentError(
                        "after the first message every message must be a chunk", field="chunk"
                    )
            if writer is None:
                raise InvalidArgumentError("the stream has no start", field="start")
            return await _to_its_end(writer.finish)
        finally:
            # The received bytes are kept, and the next call can continue.
            await _to_its_end(stack.close)


async def _to_its_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function in a thread, and wait for it even if the call is cancelled meanwhile."""
    running = asyncio.ensure_future(in_work_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await finish_in_background(running)
        raise
