"""The calls about datasets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ktt.trainer.v1 import datasets_pb2
from ktt_core.errors import InvalidArgumentError
from ktt_core.fields import at_field, within
from ktt_core.progress import Progress
from ktt_rpc.current_call import in_thread
from ktt_rpc.job_messages import progress_to_proto
from ktt_rpc.paging import next_page_token, page_cursor, page_size
from trainer.importing import ImportRun
from trainer.messages.datasets import (
    dataset_to_proto,
    import_options_from_proto,
    import_report_to_proto,
)
from trainer.server import TrainerServer
from trainer.servicer.background import finish_in_background

__all__ = ["DatasetCalls"]


class DatasetCalls:
    """Creates, shows and deletes datasets."""

    trainer: TrainerServer

    async def CreateDataset(  # noqa: N802
        self, request: datasets_pb2.CreateDatasetRequest, context: Any
    ) -> AsyncIterator[datasets_pb2.CreateDatasetResponse]:
        """Import a file; the import is cancelled when the client disconnects."""
        run = await in_thread(self._prepare, request)
        # Called however the call ends, even while nothing is sent.
        context.add_done_callback(lambda _: run.cancel())
        newest = _Newest(asyncio.get_running_loop())
        importing = asyncio.ensure_future(in_thread(run.run, newest.put))
        importing.add_done_callback(lambda _: newest.end())
        ended = False
        try:
            async for progress in newest:
                yield datasets_pb2.CreateDatasetResponse(progress=progress_to_proto(progress, None))
            ended = True
        finally:
            if not ended:
                run.cancel()
                # It ends soon, and leaves nothing.
                await finish_in_background(importing)
        report = await importing
        dataset = await in_thread(self.trainer.get_dataset, request.name)
        yield datasets_pb2.CreateDatasetResponse(
            created=datasets_pb2.CreatedDataset(
                dataset=dataset_to_proto(dataset), report=import_report_to_proto(report)
            )
        )

    def _prepare(self, request: datasets_pb2.CreateDatasetRequest) -> ImportRun:
        with at_field("options"), within("options"):
            options = import_options_from_proto(request.options)
        kind = request.WhichOneof("source")
        if kind is None:
            raise InvalidArgumentError(
                "name the source: server_path or upload_id", field="server_path"
            )
        with at_field("name"):
            prepare = (
                self.trainer.import_upload
                if kind == "upload_id"
                else self.trainer.import_server_path
            )
            return prepare(getattr(request, kind), request.name, options, replace=request.replace)

    async def GetDataset(  # noqa: N802
        self, request: datasets_pb2.GetDatasetRequest, context: Any
    ) -> datasets_pb2.GetDatasetResponse:
        """Return one dataset."""
        with at_field("name"):
            dataset = await in_thread(self.trainer.get_dataset, request.name)
        return datasets_pb2.GetDatasetResponse(dataset=dataset_to_proto(dataset))

    async def ListDatasets(  # noqa: N802
        self, request: datasets_pb2.ListDatasetsRequest, context: Any
    ) -> datasets_pb2.ListDatasetsResponse:
        """Return a page of datasets."""
        datasets, cursor = await in_thread(
            self.trainer.page_datasets, page_size(request), page_cursor(request)
        )
        return datasets_pb2.ListDatasetsResponse(
            datasets=map(dataset_to_proto, datasets),
            next_page_token=next_page_token(request, cursor),
        )

    async def DeleteDataset(  # noqa: N802
        self, request: datasets_pb2.DeleteDatasetRequest, context: Any
    ) -> datasets_pb2.DeleteDatasetResponse:
        """Delete a dataset that no job needs."""
        with at_field("name"):
            await in_thread(self.trainer.delete_dataset, request.name)
        return datasets_pb2.DeleteDatasetResponse()


class _Newest:
    """The newest value from another thread; a slow reader misses values, and memory is bounded.

    Parameters
    ----------
    loop : AbstractEventLoop
        Event loop of the reader.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._news = asyncio.Event()
        self._value: Progress | None = None
        self._ended = False

    def put(self, value: Progress) -> None:
        """Offer a value; thread-safe."""
        self._value = value
        self._loop.call_soon_threadsafe(self._news.set)

    def end(self) -> None:
        """End the reader's iteration; called in the loop's thread."""
        self._ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Progress]:
        while True:
            await self._news.wait()
            self._news.clear()
            ended = self._ended
            value, self._value = self._value, None
            if value is not None:
                yield value
            if ended:
                return
