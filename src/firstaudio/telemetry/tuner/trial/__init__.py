"""One experiment: who gets which arm, what came of it, what that says, and the watch over what was kept."""
