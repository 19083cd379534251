"""What cannot wait: rules, what of them stands now, the address that it is posted to."""
