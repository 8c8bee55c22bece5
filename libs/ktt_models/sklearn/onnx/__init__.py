"""Export of tf-idf models to ONNX: the graph, the folder around it, and the check of both."""
