"""`firstaudio bench`: the harness from a shell."""
