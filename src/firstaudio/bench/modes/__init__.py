"""What `firstaudio bench` can do, one file per verb."""
