"""Writes docs/settings.md from the settings themselves: `python -m tools.settings_page`.

A test holds the page against what this gives, so that no setting is without its default and its
consequence.
"""

from __future__ import annotations

from pathlib import Path

import click

from tallystick_gateway.settings import PREFIX, SETTINGS, Setting
from tools.parts import ROOT

PAGE = ROOT / "docs" / "settings.md"
HEAD = f"""# Settings of the gateway

<!-- written by `python -m tools.settings_page` from gateway/settings.py -->

One name in three places: `anchor-interval` in the configuration file, `--anchor-interval` on the command line,
`{PREFIX}ANCHOR_INTERVAL` in the environment. The command line counts before the environment, the environment before
the file, the file before the default. `--config FILE` (or `{PREFIX}CONFIG`) names the file, for every command of
`tally-gateway`; `tally-gateway run --print-config` shows what is in force and where each value came from, and nothing
secret.

The file is TOML; paths in it are relative to the file. A name that does not exist is an error, in the environment a
warning in the log. [deploy/gateway.toml](../deploy/gateway.toml) is one to start from. Secrets are never settings,
only the files that hold them; under systemd they come as credentials (`LoadCredential=broker-password:...`).

| setting | takes | default | what it does, and what follows |
|---|---|---|---|
"""
TAIL = """
## Adapters
`adapter` is for the command line and the environment (separated by spaces). In the file they have a table, in which
each is switched on by one line and may have options: [adapters.md](adapters.md).
```
[adapters]
home-assistant = true
senml = { format = "cbor" }
```
"""


def takes(one: Setting) -> str:
    """What may be given, in a word or two."""
    if one.metavar:
        return f"`{one.metavar}`"
    if isinstance(one.type, click.Path):
        return "path"
    if isinstance(one.type, click.FloatRange):
        return f"seconds, at least {one.type.min:g}"
    if isinstance(one.type, click.Choice):
        return ", ".join(f"`{choice}`" for choice in one.type.choices)
    return "`true`, `false`" if one.type is click.BOOL else "text"


def page() -> str:
    """The whole page."""
    rows = []
    for one in SETTINGS:
        default = one.otherwise or f"`{one.default}`"
        rows.append(f"| `{one.name}` | {takes(one)} | {default} | {one.help} |\n")
    return HEAD + "".join(rows) + TAIL


if __name__ == "__main__":
    Path(PAGE).write_text(page())
