"""Prints the light's patterns as JSON."""

import json

from tally.led import PATTERNS

print(json.dumps(PATTERNS))
