"""Kokoro-82M in ONNX, cut into steps."""
