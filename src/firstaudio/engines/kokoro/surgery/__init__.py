"""Cuts one Kokoro graph into pieces that can be run a step at a time, and rewrites what pays."""
