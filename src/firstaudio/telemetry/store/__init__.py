"""Measurements that outlive the server: what waits in memory, the SQLite file, its rows."""
