"""Engines turn segments into chunks. They know nothing of HTTP, queues or other engines."""
