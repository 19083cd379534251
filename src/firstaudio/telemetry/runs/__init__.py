"""Benchmarks of this server, as they lie on disk: records, the trend over them, when the next one is due."""
