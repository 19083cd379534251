"""Benchmarks of this server: programs of their own that it starts, watches and ends."""
