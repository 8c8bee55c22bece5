"""Train and predict with nothing of KTT but the code generated from its protos.

PYTHONPATH=proto python examples/client.py TRAINER EXPORTER DATASET MODEL TEXT [TEXT ...]

It needs the packages grpcio and protobuf, and the folder ``proto`` of this repository.
"""

from __future__ import annotations

import sys
import time
import uuid

import grpc

from ktt.exporter.v1.exporter_service_pb2_grpc import ExporterServiceStub
from ktt.exporter.v1.predict_pb2 import PredictRequest
from ktt.jobs.v1.jobs_pb2 import JOB_STATE_SUCCEEDED
from ktt.trainer.v1.trainer_service_pb2_grpc import TrainerServiceStub
from ktt.trainer.v1.training_pb2 import (
    CreateTrainingJobRequest,
    GetTrainingJobRequest,
    TrainingJob,
    TrainingSpec,
    WatchTrainingJobRequest,
)


def train(stub: TrainerServiceStub, spec: TrainingSpec) -> TrainingJob:
    """Make a job and follow it to its end, whatever happens to the connection."""
    # The id makes the call safe to repeat: it cannot make two jobs.
    request = CreateTrainingJobRequest(spec=spec, request_id=str(uuid.uuid4()))
    job = stub.CreateTrainingJob(request, timeout=30).training_job
    seen = 0
    while True:
        try:
            watch = WatchTrainingJobRequest(id=job.id, after_event=seen)
            for response in stub.WatchTrainingJob(watch, wait_for_ready=True):
                event = response.event
                seen = event.sequence
                if event.WhichOneof("kind") == "progress":
                    print(event.progress.phase, event.progress.step, event.progress.unit)
            return stub.GetTrainingJob(GetTrainingJobRequest(id=job.id), timeout=30).training_job
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.UNAVAILABLE:
                raise
            time.sleep(1)


def main(trainer: str, exporter: str, dataset: str, model: str, *texts: str) -> None:
    """Train a model on a dataset and print its answers."""
    with grpc.insecure_channel(trainer) as channel:
        job = train(TrainerServiceStub(channel), TrainingSpec(dataset=dataset, model=model))
    if job.status.state != JOB_STATE_SUCCEEDED:
        sys.exit(f"the training failed: {job.status.error.message}")
    print("hierarchical F1 on test:", job.result.metrics["test"].figures["hierarchical_f1"])
    with grpc.insecure_channel(exporter) as channel:
        request = PredictRequest(dataset=dataset, model=model, texts=texts)
        answers = ExporterServiceStub(channel).Predict(request, timeout=60).answers
    for text, answer in zip(texts, answers, strict=True):
        best = answer.paths[0]
        print(f"{text}: {' > '.join(best.classes)} ({best.probability:.1%})")


if __name__ == "__main__":
    main(*sys.argv[1:])
