"""Sentences from which unique texts are put together, one file for each language."""
