"""From the text of a request to segments: normalise, find boundaries, plan. Pure, incremental, no I/O."""
