"""Runs first after a reset. The agent needs nothing here: the radio stays off, and the REPL is as it was."""
