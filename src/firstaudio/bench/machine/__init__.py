"""Where a benchmark ran: the machine, and what the server used of it."""
