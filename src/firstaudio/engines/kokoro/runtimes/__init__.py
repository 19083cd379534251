"""What runs a graph: onnxruntime's providers, OpenVINO; detected, measured, chosen with a reason, routed."""
