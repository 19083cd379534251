"""What many measurements say: figures with their n, the trend, of a window of time."""
