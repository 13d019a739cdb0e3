"""The policy that a run goes by, read from its file."""

from __future__ import annotations

import os

from tallystick import limits, policy
from tallystick.errors import TallystickError
from tallystick.policy import Policy
from tallystick_host import files
from tallystick_host.errors import UseError
from tallystick_host.words import shown_path

__all__ = ["check", "read", "text_of"]


def read(path: str | os.PathLike[str]) -> Policy:
    """The policy at `path`; `UseError` if there is none or it cannot be used."""
    name = shown_path(path)
    if not os.path.exists(path):
        raise UseError(
            f"no policy {name!r}", hint="tally init makes one, --policy FILE names another"
        )
    return check(text_of(path), name)


def check(text: str, name: str = "the new policy") -> Policy:
    """The policy that `text` is; `UseError` (with the library's code) otherwise."""
    try:
        return policy.parse(text.encode())
    except TallystickError as error:
        raise UseError(f"{name}: {error.detail}", code=error.code, hint=error.hint) from error


def text_of(path: str | os.PathLike[str]) -> str:
    """The policy's text, as it stands in the file."""
    try:
        return files.read(path, limits.POLICY_BYTES).decode()
    except UnicodeDecodeError as error:
        raise UseError(f"{shown_path(path)!r} is not UTF-8") from error
