"""espeak-ng in worker processes."""
