"""The dashboard: one page that shows what the server does now."""
