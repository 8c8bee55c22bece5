"""What the exports of all models have in common, and the check of each.

An exported ONNX folder holds ``model.onnx``, ``hierarchy.json``, a ``README.md``, the data that
turns texts into the graph's inputs, and ``text_rows/``, the code that does it::

    inputs = text_rows.TextRows(folder)(texts)
    log_proba, scores, features = session.run(["log_proba", "scores", "features"], inputs)

That is the whole interface, whatever the model: `onnx_layout` has the names, `package` writes the
code, `running` runs a folder by its own files alone, and `parity` and `comparison` are the checks
that build on it. `artifacts_layout` says what a bundle serves a model from.
"""
