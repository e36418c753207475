"""Work on an ONNX graph."""
