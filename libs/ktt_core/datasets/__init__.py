"""Datasets: importing labelled texts from files, and reading them back split by split.

`ktt_core.datasets.importer` writes a dataset, `ktt_core.datasets.dataset` reads one. This package
imports neither (both bring pyarrow).
"""
