"""The harness: measures any text-to-speech system from outside."""
