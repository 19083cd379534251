"""What the server knows of itself: measurements of finished traces, and what follows from them."""
