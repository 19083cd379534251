"""What to do about what was measured: rules, each with its evidence, in order of what matters most."""
