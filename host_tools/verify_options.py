"""What `tally verify` is asked, and its plain forms read without the command-line library.

Loading that library takes longer than a verdict on a small proof. So the common forms (options and files, each option
written out) are read here; for anything else (help, completion, a mistake, an abbreviation) `quick` gives None and the
whole command line takes over. A test holds the two to the same options.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tallystick.value import Value

__all__ = ["FLAGS", "MANY", "VALUES", "Options", "quick"]

FLAGS: Final = {
    "--json": "as_json",
    "-q": "quiet",
    "--quiet": "quiet",
    "-v": "verbose",
    "--verbose": "verbose",
}
VALUES: Final = {
    "--policy": "policy_path",
    "--enrolment": "enrolment_path",
    "--status-list": "list_paths",
    "--head": "head_paths",
    "--rpc": "urls",
    "--rpc-file": "url_paths",
}
MANY: Final = ("list_paths", "head_paths", "urls", "url_paths")


class Options(Value):
    """The command line of one run; `jobs` None takes all cores."""

    paths: tuple[str, ...]
    policy_path: str | None = None
    enrolment_path: str | None = None
    list_paths: tuple[str, ...] = ()
    head_paths: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    url_paths: tuple[str, ...] = ()
    as_json: bool = False
    quiet: bool = False
    verbose: bool = False
    jobs: int | None = None


def quick(args: Sequence[str]) -> Options | None:
    """The options in what follows `tally verify`; None if it takes more than this to read them."""
    found: dict[str, Any] = {}
    paths: list[str] = []
    left = iter(args)
    for one in left:
        if one in FLAGS:
            found[FLAGS[one]] = True
        elif one in VALUES:
            value = next(left, None)
            if value is None or value.startswith("-"):
                return None
            name = VALUES[one]
            if name in MANY:
                found[name] = (*found.get(name, ()), value)
            else:
                found[name] = value
        elif one.startswith("-") or not one:
            return None
        else:
            paths.append(one)
    # what does not go together is said by the whole command line
    apart = found.get("quiet") and (found.get("verbose") or found.get("as_json"))
    return Options(tuple(paths), **found) if paths and not apart else None
