"""Where the program `tally` starts: the plain forms of `tally verify` at once, all else by the whole command line."""

from __future__ import annotations

import os
import sys

__all__ = ["main"]


def main(args: list[str] | None = None) -> int:
    """Run `tally`; the exit status."""
    given = sys.argv[1:] if args is None else args
    if given[:1] == ["verify"] and not _completing():
        from tallystick_host import verify_options

        options = verify_options.quick(given[1:])
        if options is not None:
            from tallystick_host import verifying

            try:
                return verifying.run(options)
            except BaseException as error:  # noqa: BLE001 - `explain` raises again what is no ending
                from tallystick_host import exits

                return exits.explain(error)
    from tallystick_host import cli

    return cli.main(args)


def _completing() -> bool:
    """Does a shell ask for completions?"""
    return "_TALLY_COMPLETE" in os.environ
