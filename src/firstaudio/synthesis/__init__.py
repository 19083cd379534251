"""The scheduler of steps and the one door to speech: `Synthesizer.stream`."""
