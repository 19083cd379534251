"""firstaudio: a text-to-speech server that starts speaking at once, and the harness that proves it."""

__version__ = "0.1.0"
