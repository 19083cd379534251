"""Settings that are tried on part of the traffic: knobs, experiments, decisions."""
