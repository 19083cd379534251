"""What other programs collect: Prometheus metrics, OpenTelemetry spans."""
