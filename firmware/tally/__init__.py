"""The agent of a board: it measures, signs, keeps and publishes records (docs/format.md)."""
