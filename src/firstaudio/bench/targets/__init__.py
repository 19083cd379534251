"""Systems that can be measured, by protocol."""
