"""The calls of ``ktt.trainer.v1.TrainerService``: messages in, handlers called, messages out.

Nothing is imported here; `trainer.servicer.service` has the servicer.
"""
