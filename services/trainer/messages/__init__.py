"""The trainer's values to the messages of ``ktt.trainer.v1`` and back, for servers and clients.

Nothing is imported here; take what you need from its module:

============================== ===================================================
`trainer.messages.datasets`    datasets, uploads, import options and reports
`trainer.messages.models`      models and checkpoints
`trainer.messages.training`    training: specs and outcomes
`trainer.messages.evaluation`  evaluation: specs and outcomes
============================== ===================================================
"""
