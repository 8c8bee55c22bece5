"""Common parts of all models' exports, and their checks.

An exported ONNX folder holds ``model.onnx``, ``hierarchy.json``, a ``README.md``, the data that
turns texts into the graph's inputs, and ``text_rows/``, the code that does it::

    inputs = text_rows.TextRows(folder)(texts)
    log_proba, scores, features = session.run(["log_proba", "scores", "features"], inputs)

The interface is the same for all models: `onnx_layout` defines the names, `package` writes the
code, `runtime` runs a folder with its own files only, and `parity` and `comparison` check it.
`artifacts_layout` defines the files that a bundle serves a model from.
"""
