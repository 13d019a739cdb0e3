"""Scripts that prepare a checkout, and the paths to what they prepared."""
