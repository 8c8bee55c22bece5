"""Export of encoder models to ONNX: one graph of encoder, head and calibrated decoding."""
