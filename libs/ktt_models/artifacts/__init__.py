"""What a bundle serves a model from: arrays, JSON and graphs, which any Python reads.

A folder of artifacts holds ``model.json`` (`layout`), ``hierarchy.json``, and by its kind

- "onnx": ``model.onnx`` and ``tokenizer.json``, as an ONNX export has them;
- "tfidf": ``vocabulary.json`` and ``vocabulary.npz``, ``weights.json`` and ``weights.npz``: the
  trained solver's state.

No file of it is code, or is read with pickle.
"""
