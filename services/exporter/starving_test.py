"""Predictions, however many, do not keep out those who only ask for a job."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest

from exporter.handlers import Exporter
from exporter.servicer import ExporterServicer
from ktt.exporter.v1 import exports_pb2, predict_pb2
from ktt_core.errors import NotFoundError


def test_predictions_do_not_hold_up_other_calls() -> None:
    release = threading.Event()

    def predict(*_: Any, **__: Any) -> Any:
        release.wait(30)
        return iter(())

    def get_job(*_: Any) -> Any:
        raise NotFoundError("it answers")

    slow = cast(Exporter, SimpleNamespace(predict=predict, get_job=get_job))
    servicer = ExporterServicer(slow)

    async def main() -> None:
        request = predict_pb2.PredictRequest(dataset="d", model="m", texts=["a"])
        busy = [asyncio.create_task(servicer.Predict(request, None)) for _ in range(40)]
        await asyncio.sleep(0.1)
        asking = servicer.GetExportJob(exports_pb2.GetExportJobRequest(id="x"), None)
        try:
            with pytest.raises(NotFoundError, match="it answers"):
                await asyncio.wait_for(asking, 10)
            assert not any(call.done() for call in busy)
        finally:
            release.set()
            await asyncio.gather(*busy)

    asyncio.run(main())
