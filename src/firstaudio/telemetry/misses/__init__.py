"""Why requests miss the target: what the missed ones have in common, which stage grew in them."""
