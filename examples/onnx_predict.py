"""Classify texts with an exported ONNX folder: python onnx_predict.py FOLDER TEXT [TEXT ...]."""

import importlib
import json
import math
import sys

import onnxruntime

folder, *texts = sys.argv[1:]
sys.path.insert(0, folder)
# The folder's own code, the same for every kind of model: its README.md says what it does. It
# stands on numpy, and in an encoder model's folder on tokenizers.
text_rows = importlib.import_module("text_rows").TextRows(folder)
session = onnxruntime.InferenceSession(f"{folder}/model.onnx")
with open(f"{folder}/hierarchy.json", encoding="utf-8") as file:
    paths = json.load(file)["leaf_paths"]
for text in texts:
    log_proba = session.run(["log_proba"], text_rows([text]))[0][0]
    leaf = log_proba.argmax()
    print(" > ".join(paths[leaf]), f"{math.exp(log_proba[leaf]):.3f}", sep="\t")
