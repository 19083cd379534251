"""firstaudio beside other servers and libraries that speak with the same model, on this machine, in one run."""
