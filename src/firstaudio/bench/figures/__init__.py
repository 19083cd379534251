"""Every number of a benchmark: metrics, statistics, aggregates, checks."""
