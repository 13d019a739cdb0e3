"""The engineer's folder: the owner's and the issuer's key, the policy, the grants.

`owner.key`    the fleet's owner: boards pin it, it signs grants
`issuer.key`   the issuer: it signs the boards' credentials
`update.key`   signs updates, if `tally update keygen` has made it; `update.pub` is what boards pin of it
`policy.toml`  whom `tally verify` trusts
`grants.json`  every grant that the owner gave
`enrolment.json`  the boards that are enrolled, unless a command names another file
`status.json`  which place in which status list belongs to whose credential
`web/`         what an issuer hosts for others: its DID document and status lists; nothing secret

Keys are PKCS #8 in PEM, mode 0600, made once and never written over. They are read here and shown nowhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from tallystick import did
from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey
from tallystick.value import Value
from tallystick_host import files, limits
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.words import shown_path

__all__ = ["Home", "default", "folder", "read_key"]


def folder() -> Path:
    """The folder that TALLY_HOME names, else that of this user."""
    named = os.environ.get("TALLY_HOME")
    return Path(named) if named else default()


def default() -> Path:
    """The folder of this user on this system."""
    import platformdirs

    return Path(platformdirs.user_config_dir("tallystick"))


class Home(Value):
    """The folder and the names in it."""

    folder: Path

    @property
    def owner_path(self) -> Path:
        return self.folder / "owner.key"

    @property
    def issuer_path(self) -> Path:
        return self.folder / "issuer.key"

    @property
    def update_path(self) -> Path:
        return self.folder / "update.key"

    @property
    def update_public_path(self) -> Path:
        return self.folder / "update.pub"

    @property
    def policy_path(self) -> Path:
        return self.folder / "policy.toml"

    @property
    def grants_path(self) -> Path:
        return self.folder / "grants.json"

    @property
    def status_path(self) -> Path:
        return self.folder / "status.json"

    @property
    def enrolment_path(self) -> Path:
        return self.folder / "enrolment.json"

    @property
    def web_folder(self) -> Path:
        return self.folder / "web"

    def owner(self) -> PrivateKey:
        """The owner's key; `UseError` if there is none yet."""
        return read_key(self.owner_path)

    def issuer(self) -> PrivateKey:
        """The issuer's key; `UseError` if there is none yet."""
        return read_key(self.issuer_path)

    def exposed(self) -> list[Path]:
        """Key files that others than their owner may read."""
        if os.name != "posix":
            return []
        keys = (self.owner_path, self.issuer_path, self.update_path)
        return [path for path in keys if path.exists() and path.stat().st_mode & 0o077]

    def make(self, name: str = "") -> list[Path]:
        """Make what is not there yet: keys, and a policy that trusts the issuer (called `name`). Returns what was
        made.
        """
        files.make_private(self.folder)
        made: list[Path] = []
        for path in (self.owner_path, self.issuer_path):
            if not path.exists():
                files.write_new(path, PrivateKey.generate().to_pem(), mode=0o600)
                made.append(path)
        if not self.policy_path.exists():
            from tallystick_host import policy_file

            issuer = did.did_key(self.issuer().public)
            text = policy_file.HEADER + policy_file.table("issuer", issuer, name=name)
            policy_file.check(text)
            files.write_new(self.policy_path, text.encode())
            made.append(self.policy_path)
        return made


def read_key(path: Path, made_by: str = "tally init") -> PrivateKey:
    """The private key in a PEM file; `UseError` if there is none, `UndoneError` if it is no key of ours."""
    if not path.exists():
        raise UseError(f"no key {shown_path(path)!r}", hint=f"{made_by} makes one")
    try:
        return PrivateKey.from_pem(files.read(path, limits.KEY_FILE_BYTES))
    except TallystickError as error:
        raise UndoneError(f"{shown_path(path)!r}: {error.detail}", code=error.code) from error
