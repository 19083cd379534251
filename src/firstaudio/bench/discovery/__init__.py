"""What `firstaudio.bench.discover` is made of."""
