"""did:web (W3C CCG did:web method): an issuer's key under the name of a web site, and its document (DID 1.1).

`did:web:example.org` is described by https://example.org/.well-known/did.json, `did:web:example.org:a:b` by
https://example.org/a/b/did.json; a port is written `%3A8443`. Nothing is fetched here: the document comes as bytes,
and gives no trust. It says which keys go by the name; whether a key is trusted, the policy says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tallystick import did, jcs, limits
from tallystick.errors import FormatError, TallystickError
from tallystick.jcs import Object
from tallystick.keys import PublicKey
from tallystick.value import Value

__all__ = ["DidDocument", "document", "parse", "web_address"]

_CONTEXT: Final = ["https://www.w3.org/ns/did/v1.1"]
_LABEL: Final = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?:%3A[1-9][0-9]{{0,4}})?")
_PATH: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_ADDRESS: Final = re.compile(r"[0-9.]+")


class DidDocument(Value):
    """Who it is about, and the keys that may speak in this name, by their DID URLs."""

    did: str
    keys: Mapping[str, PublicKey]


def web_address(name: str) -> str:
    """Where the document of a did:web is to be hosted; `FormatError` (`did.web`) for another DID."""
    host, *path = name.removeprefix("did:web:").split(":")
    bare = host.partition("%3A")[0]
    if (
        not name.startswith("did:web:")
        or len(name) > limits.DID_BYTES
        or not _HOST.fullmatch(host)
        # the method forbids addresses: nobody can be asked whose they are
        or _ADDRESS.fullmatch(bare)
        or not all(_PATH.fullmatch(one) for one in path)
    ):
        raise FormatError("did.web", f"{name[:64]!r} is not a did:web")
    return f"https://{host.replace('%3A', ':')}/{'/'.join(path or ['.well-known'])}/did.json"


def method_id(name: str, key: PublicKey) -> str:
    """The DID URL of `key` in the document of `name`; for a did:key the one that the method fixes."""
    return f"{name}#{did.did_key(key).removeprefix('did:key:')}"


def document(name: str, key: PublicKey) -> Object:
    """The document that says: `key` signs in the name of this did:web."""
    web_address(name)
    method = method_id(name, key)
    return {
        "@context": _CONTEXT,
        "id": name,
        "alsoKnownAs": [did.did_key(key)],
        "verificationMethod": [
            {
                "id": method,
                "type": "Multikey",
                "controller": name,
                "publicKeyMultibase": did.did_key(key).removeprefix("did:key:"),
            }
        ],
        "assertionMethod": [method],
    }


def parse(data: bytes) -> DidDocument:
    """A did:web's document: the keys that it names for assertions; `FormatError` (`did.document`) otherwise.

    Keys of other kinds than ours are passed over.
    """
    given = jcs.parse(data, limit=limits.DID_DOCUMENT_BYTES)
    name = given.get("id")
    if not isinstance(name, str):
        raise FormatError("did.document", "a DID document has an id")
    web_address(name)
    listed = _list(given, "verificationMethod")
    methods = {_absolute(name, one.get("id")): one for one in listed if isinstance(one, dict)}
    if len(methods) != len(listed):
        raise FormatError("did.document", "two verification methods of one id, or one that is none")
    keys: dict[str, PublicKey] = {}
    for entry in _list(given, "assertionMethod"):
        method = entry if isinstance(entry, dict) else methods.get(_absolute(name, entry))
        key = _key(name, method)
        if method is not None and key is not None:
            keys[_absolute(name, method.get("id"))] = key
    return DidDocument(name, keys)


def _list(given: Object, member: str) -> list[Any]:
    value = given.get(member, [])
    if not isinstance(value, list):
        raise FormatError("did.document", f"{member} is no list")
    return value


def _absolute(name: str, id: object) -> str:
    """A DID URL, also where it is written relative to the document."""
    if not isinstance(id, str) or not id.isprintable():
        raise FormatError("did.document", "a verification method without an id")
    return name + id if id.startswith("#") else id


def _key(name: str, method: Object | None) -> PublicKey | None:
    """The key of a Multikey that the document's own subject controls; None for any other."""
    if method is None or method.get("type") != "Multikey" or method.get("controller") != name:
        return None
    multibase = method.get("publicKeyMultibase")
    if not isinstance(multibase, str):
        raise FormatError("did.document", "a Multikey without publicKeyMultibase")
    try:
        return did.public_key(f"did:key:{multibase}")
    except TallystickError as error:
        # a key of another kind is none of ours; one that must never be trusted is refused
        if error.code == "did.key-type":
            return None
        raise
