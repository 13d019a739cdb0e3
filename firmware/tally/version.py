"""The agent's version, as the `open` record and the console name it."""

VERSION = "0.1.0"
