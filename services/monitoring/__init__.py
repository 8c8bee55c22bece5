"""The monitor: compares a served model's rows with its reference set, with Evidently.

It stands alone: it imports nothing else of this repository, and its modules import each other
relatively, because an exported bundle carries them as ``ktt_monitor``.
"""
