"""The HTTP server: validation, `Synthesizer.stream`, encoding."""
