"""When requests are sent, and by whom."""
