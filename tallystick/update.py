"""Updates over the air: manifest, index, update file, and the parts in which a board fetches them
(docs/format.md, section 6.1).

::

    manifest   signed by the update key: counter, minimum, version, kind, board, machine, and size
               and SHA-256 of the index
    index      lines `path size sha256`, sorted: the text whose hash is the agent digest
    objects    the files, or the pieces of an image, each known by its SHA-256

The signature covers the manifest, the manifest the index, the index every byte that a board ever
runs: whoever carries them needs no trust. `parse` checks all of that but the signature, which is
for whoever knows the key: `.manifest.signed.verify(key)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from hashlib import sha256
from typing import Final

from tallystick import cbor, cose, limits
from tallystick.cose import Signed, Signer, Typ
from tallystick.errors import FormatError, LimitError, PathError
from tallystick.fields import octets, text, uint
from tallystick.value import Value, computed

__all__ = [
    "MAGIC",
    "START_FILES",
    "Entry",
    "Kind",
    "Manifest",
    "Update",
    "Want",
    "index_of",
    "part",
    "parse",
    "parse_index",
    "parse_manifest",
    "parse_want",
    "serialize",
    "sign_manifest",
]

START_FILES: Final = (
    "boot.py",
    "main.py",
)  # the start itself; an update names them, and brings others never
MAGIC: Final = "tally-update"
_VERSION: Final = 1
_AGENT_PATH: Final = re.compile(r"(?:lib|modem|sensors|tally)(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)+")
_IMAGE_PATH: Final = re.compile(r"image/[0-9a-f]{8}")
_LINE: Final = re.compile(r"([^ \n]+) (0|[1-9][0-9]*) ([0-9a-f]{64})")
_WANT: Final = re.compile(rb"([0-9a-f]{64}) (0|[1-9][0-9]{0,7}) ([1-9][0-9]{0,3})")


class Kind(IntEnum):
    """What an update brings."""

    AGENT = 0
    IMAGE = 1


class Manifest(Value):
    """What the update key signs. `index`: SHA-256 of the index, whose first 16 bytes are the digest
    that the next `open` states.

    `counter`: above that of every update that the board took; `minimum`: the counter that a board must
    have reached. `board`: what the board calls itself, None for any. `machine`: of an agent, number of
    the architecture << 8 | version of .mpy; of an image, the number of its chip. `size`: of the
    index, bytes.
    """

    signed: Signed
    counter: int
    minimum: int
    version: str
    kind: Kind
    board: str | None
    machine: int
    size: int
    index: bytes

    @property
    def digest(self) -> bytes:
        """The agent digest (16 bytes) of a board that runs it."""
        return self.index[:16]


class Entry(Value):
    """A line of the index."""

    path: str
    size: int
    sha256: bytes

    @property
    def line(self) -> str:
        """As it stands in the index, with its end."""
        return f"{self.path} {self.size} {self.sha256.hex()}\n"


class Want(Value):
    """A board asks for `length` bytes at `offset` of the object with this SHA-256."""

    sha256: bytes
    offset: int
    length: int


class Update(Value):
    """A whole update: `raw` is the update file."""

    raw: bytes
    manifest: Manifest
    index: bytes
    entries: tuple[Entry, ...]
    objects: dict[bytes, bytes]

    @computed
    def id(self) -> bytes:
        """SHA-256 of the file."""
        return sha256(self.raw).digest()

    def answer(self, want: Want) -> bytes | None:
        """The part that was asked for; None if this update has no such object, or not so many bytes."""
        data = self.index if want.sha256 == self.manifest.index else self.objects.get(want.sha256)
        if data is None or want.offset + want.length > len(data):
            return None
        return part(want, data[want.offset : want.offset + want.length])


def sign_manifest(
    signer: Signer,
    *,
    counter: int,
    minimum: int,
    version: str,
    kind: Kind,
    board: str | None,
    machine: int,
    index: bytes,
) -> bytes:
    """The manifest of an update with this index."""
    fields: list[cbor.Value] = [counter, minimum, version.encode(), int(kind)]
    fields += [None if board is None else board.encode(), machine]
    fields += [len(index), sha256(index).digest()]
    return cose.sign(signer, Typ.UPDATE, cbor.encode(fields))


def parse_manifest(raw: bytes) -> Manifest:
    """typ 65008, by the update key."""
    signed = cose.parse(raw, Typ.UPDATE, limit=limits.MANIFEST_BYTES)
    fields = cbor.decode(signed.payload)
    if not isinstance(fields, list) or len(fields) != 8:
        raise FormatError("update.shape", "a manifest is an array of 8")
    counter, minimum, version, kind, board, machine, size, index = fields
    return Manifest(
        signed,
        uint(counter, "counter", limits.SEQ, at_least=1),
        uint(minimum, "minimum", limits.SEQ),
        text(version, "version"),
        Kind(uint(kind, "kind", max(Kind))),
        None if board is None else text(board, "board", limits.UPDATE_BOARD_BYTES),
        uint(machine, "machine", 2**31 - 1),
        uint(size, "size", limits.UPDATE_INDEX_BYTES, at_least=1),
        octets(index, "index", 32),
    )


def index_of(files: Mapping[str, bytes]) -> bytes:
    """The index of these files: path -> content."""
    entries = (
        Entry(path, len(data), sha256(data).digest()) for path, data in sorted(files.items())
    )
    return "".join(entry.line for entry in entries).encode()


def parse_index(raw: bytes, kind: Kind) -> tuple[Entry, ...]:
    """The lines of an index of this kind: sorted, without doubles, and nothing outside of the agent's folders."""
    if len(raw) > limits.UPDATE_INDEX_BYTES:
        raise LimitError(
            "update.too-long", f"the index is longer than {limits.UPDATE_INDEX_BYTES} bytes"
        )
    try:
        lines = raw.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError("update.index", "the index is not ASCII") from error
    if lines.pop() != "" or not 0 < len(lines) <= limits.UPDATE_ENTRIES:
        raise FormatError(
            "update.index", f"the index is not 1 to {limits.UPDATE_ENTRIES} whole lines"
        )
    entries = tuple(_entry(line, kind) for line in lines)
    paths = [entry.path for entry in entries]
    if paths != sorted(set(paths)):
        raise FormatError("update.index", "the paths of the index are not in order")
    if kind is Kind.AGENT:
        missing = {*START_FILES, "tally/life.mpy"} - set(paths)
        if missing:
            raise FormatError("update.index", f"no agent: {min(missing)} is missing")
    else:
        at = 0
        for entry in entries:
            # stops an image with a hole, whose old bytes nobody has checked
            if entry.path != f"image/{at:08x}":
                raise FormatError("update.index", f"no piece of the image at {at:#x}")
            at += entry.size
    return entries


def serialize(manifest: bytes, index: bytes, objects: Iterable[bytes]) -> bytes:
    """The update file: ["tally-update", 1, manifest, index, [* object]]; `objects` in the order of the
    index, each once.
    """
    return cbor.encode([MAGIC, _VERSION, manifest, index, list(objects)])


def parse(raw: bytes) -> Update:
    """An update file, complete and consistent: every object that the index names is there, with its hash, and no
    other. `PathError` if one is not what the index says.
    """
    if len(raw) > limits.UPDATE_BYTES:
        raise LimitError("update.too-long", f"{len(raw)} bytes, the limit is {limits.UPDATE_BYTES}")
    value = cbor.decode(raw)
    if not isinstance(value, list) or value[:1] != [MAGIC]:
        raise FormatError("update.magic", "not an update file")
    if len(value) != 5 or value[1] != _VERSION or isinstance(value[1], bool):
        raise FormatError("update.version", f"an update file of another version than {_VERSION}")
    manifest_raw, index, listed = value[2:]
    if not isinstance(manifest_raw, bytes) or not isinstance(index, bytes):
        raise FormatError("update.shape", "manifest and index are byte strings")
    if not isinstance(listed, list) or len(listed) > limits.UPDATE_ENTRIES:
        raise FormatError("update.shape", "the objects are an array of byte strings")
    manifest = parse_manifest(manifest_raw)
    if len(index) != manifest.size or sha256(index).digest() != manifest.index:
        raise PathError("update.hash", "the index is not the one that was signed")
    entries = parse_index(index, manifest.kind)
    objects: dict[bytes, bytes] = {}
    for data in listed:
        if not isinstance(data, bytes):
            raise FormatError("update.shape", "the objects are an array of byte strings")
        objects[sha256(data).digest()] = data
    wanted = {entry.sha256: entry for entry in entries if entry.path not in START_FILES}
    for entry in wanted.values():
        if len(objects.get(entry.sha256, b"")) != entry.size:
            raise PathError("update.hash", f"{entry.path} is not here as the index says")
    if list(objects) != list(wanted):
        raise FormatError("update.shape", "the objects are not those of the index, in its order")
    return Update(raw, manifest, index, entries, objects)


def parse_want(raw: bytes) -> Want:
    """What a board asks for: `sha256 offset length`, in ASCII. Nobody signs it, and nobody needs to."""
    match = _WANT.fullmatch(raw)
    if match is None:
        raise FormatError("update.want", "not `sha256 offset length`")
    return Want(
        bytes.fromhex(match[1].decode()),
        uint(int(match[2]), "offset", limits.UPDATE_OBJECT_BYTES),
        uint(int(match[3]), "length", limits.UPDATE_PART_BYTES, at_least=1),
    )


def part(want: Want, data: bytes) -> bytes:
    """The answer: SHA-256 of the object, offset (4 bytes), the bytes there."""
    return want.sha256 + want.offset.to_bytes(4, "big") + data


def _entry(line: str, kind: Kind) -> Entry:
    match = _LINE.fullmatch(line)
    if match is None or len(line) > limits.UPDATE_PATH_BYTES + 80:
        raise FormatError("update.index", f"{line[:128]!r} is not `path size sha256`")
    path = match[1]
    good = _IMAGE_PATH if kind is Kind.IMAGE else _AGENT_PATH
    fits = good.fullmatch(path) is not None or (kind is Kind.AGENT and path in START_FILES)
    # stops an update that writes over settings, journal or start
    if not fits or len(path) > limits.UPDATE_PATH_BYTES:
        raise FormatError("update.path", f"{path[:64]!r} is no place of an update")
    size = uint(int(match[2]), "size", limits.UPDATE_OBJECT_BYTES)
    return Entry(path, size, bytes.fromhex(match[3]))
