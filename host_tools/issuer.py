"""The issuer of a home folder: its key, and the name it signs under in JSON documents.

The name is the key's did:key, or a did:web after `tally issuer did-web`; what is to be hosted lies in `web/`. The
credentials that boards carry always name the did:key: it needs no look-up.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tallystick import did, did_document, jcs
from tallystick import limits as library_limits
from tallystick.did_document import DidDocument
from tallystick.errors import TallystickError
from tallystick.keys import PrivateKey
from tallystick_host import files
from tallystick_host.errors import UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.words import shown_path

__all__ = ["Issuer", "load", "read_documents", "use_did_web"]


@dataclass(frozen=True)
class Issuer:
    """Who signs. `did` is the name in JSON documents, `base` what the names of its status lists start with."""

    key: PrivateKey
    did: str
    base: str

    @property
    def key_did(self) -> str:
        """The did:key."""
        return did.did_key(self.key.public)

    @property
    def method(self) -> str:
        """The DID URL of the key."""
        return did_document.method_id(self.did, self.key.public)


def load(home: Home) -> Issuer:
    """The issuer of `home`; `UseError` if there is no key yet."""
    key = home.issuer()
    path = home.web_folder / "did.json"
    if not path.exists():
        name = did.did_key(key.public)
        return Issuer(key, name, name)
    document = _read(path)
    if did_document.method_id(document.did, key.public) not in document.keys:
        raise UndoneError(
            f"{shown_path(path)!r} does not name the issuer's key",
            code="did.document",
            hint="tally issuer did-web writes it anew",
        )
    return Issuer(key, document.did, _base(document.did))


def use_did_web(home: Home, name: str) -> tuple[Issuer, Path]:
    """Sign as `name` from now on, a did:web or what follows `did:web:`; the document to host, and where to."""
    full = name if name.startswith("did:") else f"did:web:{name}"
    try:
        document = did_document.document(full, home.issuer().public)
    except TallystickError as error:
        raise UseError(
            error.detail,
            code=error.code,
            hint="as in example.org, example.org:sensors, example.org%3A8443",
        ) from error
    files.make_private(home.web_folder)
    path = home.web_folder / "did.json"
    files.replace(path, jcs.canonical(document) + b"\n")
    return load(home), path


def read_documents(paths: tuple[Path, ...]) -> list[DidDocument]:
    """The DID documents in files; `UndoneError` if one is none, `UseError` if two are of one DID."""
    found = [_read(path) for path in paths]
    if len({one.did for one in found}) != len(found):
        raise UseError("two DID documents of one issuer")
    return found


def _read(path: Path) -> DidDocument:
    try:
        return did_document.parse(files.read(path, library_limits.DID_DOCUMENT_BYTES))
    except TallystickError as error:
        raise UndoneError(f"{shown_path(path)!r}: {error.detail}", code=error.code) from error


def _base(name: str) -> str:
    address = did_document.web_address(name).removesuffix("/did.json")
    return address.removesuffix("/.well-known")
