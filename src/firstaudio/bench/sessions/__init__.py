"""Saved benchmarks: in memory, on disk, computed again."""
