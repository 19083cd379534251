"""What `firstaudio.bench.discovery.discover` is made of."""
