"""The trainer's servicer."""

from __future__ import annotations

from ktt.trainer.v1 import trainer_service_pb2, trainer_service_pb2_grpc
from ktt_rpc.job_calls import add_job_calls
from ktt_rpc.server import ServiceSpec
from trainer.server import TrainerServer
from trainer.servicer.datasets import DatasetCalls
from trainer.servicer.evaluation import EvaluationCalls
from trainer.servicer.models import ModelCalls
from trainer.servicer.uploads import UploadCalls
from trainer.specs import KINDS

__all__ = ["SERVICE_NAME", "TrainerServicer", "trainer_service"]

SERVICE_NAME = trainer_service_pb2.DESCRIPTOR.services_by_name["TrainerService"].full_name


class TrainerServicer(
    UploadCalls,
    DatasetCalls,
    EvaluationCalls,
    ModelCalls,
    trainer_service_pb2_grpc.TrainerServiceServicer,
):
    """All calls of the trainer.

    Parameters
    ----------
    trainer : TrainerServer
    """

    def __init__(self, trainer: TrainerServer) -> None:
        self.trainer = trainer
        add_job_calls(self, trainer, KINDS)


def trainer_service(trainer: TrainerServer) -> ServiceSpec:
    """Return the trainer as `ktt_rpc.server.serve` takes it."""
    return ServiceSpec(
        trainer_service_pb2_grpc.add_TrainerServiceServicer_to_server,
        TrainerServicer(trainer),
        SERVICE_NAME,
        private=(trainer.root,),
    )
