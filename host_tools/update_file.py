"""Update files: made of a compiled agent, and read (docs/format.md, section 6.1); the key that signs them.

Whoever has the update key puts any code on every board that pins it. So it is a file of its own, made by a command of
its own: boards need its public half alone, and so does everybody who only checks or carries an update.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tallystick import did, limits, update
from tallystick.errors import TallystickError
from tallystick.keys import ED25519, PrivateKey, PublicKey
from tallystick.update import Kind, Manifest, Update
from tallystick_host import agent_files, files, image
from tallystick_host import limits as our_limits
from tallystick_host.agent_files import ARCHITECTURES, AgentFiles
from tallystick_host.errors import RefusedError, UndoneError, UseError
from tallystick_host.image import CHIP_IDS
from tallystick_host.words import shown, shown_path

__all__ = [
    "Recipe",
    "agent_of",
    "check",
    "facts",
    "made",
    "made_image",
    "manifest_facts",
    "public_key",
    "read",
]

_MPY_MAGIC: Final = 0x4D
_IMAGE_MAGIC: Final = 0xE9
_PIECE_BYTES: Final = 16_384  # a board whose power goes fetches so much again
_MPY: Final = 6  # version of .mpy: MicroPython 1.19 to 1.27 and later


@dataclass(frozen=True)
class Recipe:
    """What an update is to be. `board`: what the board calls itself in `info`, None for any."""

    counter: int
    version: str
    architecture: str
    minimum: int = 0
    board: str | None = None


def made(key: PrivateKey, agent: AgentFiles, recipe: Recipe) -> Update:
    """The update to this agent, signed. `UseError` if the agent cannot be one."""
    contents = {}
    for path, (size, _) in agent.facts.items():
        if size > limits.UPDATE_OBJECT_BYTES:
            raise UseError(
                f"{path} has {size} bytes, an update carries files of {limits.UPDATE_OBJECT_BYTES}"
            )
        contents[path] = (agent.folder / path).read_bytes()
        _check_mpy(path, contents[path], recipe.architecture)
    machine = ARCHITECTURES.index(recipe.architecture) << 8 | _MPY
    return _packed(key, contents, recipe, Kind.AGENT, machine)


def made_image(key: PrivateKey, data: bytes, chip: str, recipe: Recipe) -> Update:
    """The update to this image of MicroPython, signed. `UseError` if it is none for `chip`, or too long."""
    if len(data) < 16 or data[0] != _IMAGE_MAGIC:
        raise UseError("this is no program of an ESP32", code="image.form")
    machine = int.from_bytes(data[12:14], "little")
    if CHIP_IDS.get(chip) != machine:
        raise UseError(f"the image is not made for the {chip or 'board'}", code="image.chip")
    # the .bin of a first installation begins with the bootloader, and has the table behind it
    start = image.TABLE_OFFSET - (0x1000 if chip == "esp32" else 0)
    if image.partitions(data[start : start + image.TABLE_BYTES]):
        raise UseError(
            "this image is one for a first installation",
            code="image.form",
            hint="take the .app-bin of the OTA variant",
        )
    if len(data) > limits.UPDATE_ENTRIES * _PIECE_BYTES:
        raise UseError("the image is too long for an update", code="image.too-long")
    pieces = {
        f"image/{at:08x}": data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)
    }
    return _packed(key, pieces, recipe, Kind.IMAGE, machine)


def _packed(
    key: PrivateKey, contents: dict[str, bytes], recipe: Recipe, kind: Kind, machine: int
) -> Update:
    index = update.index_of(contents)
    try:
        entries = update.parse_index(index, kind)
        manifest = update.sign_manifest(
            key,
            counter=recipe.counter,
            minimum=recipe.minimum,
            version=recipe.version,
            kind=kind,
            board=recipe.board,
            machine=machine,
            index=index,
        )
        objects = {
            one.sha256: contents[one.path] for one in entries if one.path not in update.START_FILES
        }
        return update.parse(update.serialize(manifest, index, objects.values()))
    except TallystickError as error:
        raise UseError(f"no update: {error.detail}", code=error.code) from error


def _check_mpy(path: str, data: bytes, architecture: str) -> None:
    """A compiled file must be one that the board loads: MicroPython refuses another kind at import, on the board."""
    if not path.endswith(".mpy"):
        if path not in update.START_FILES:
            raise UseError(f"{path} is not compiled", hint="python firmware/build.py ARCHITECTURE")
        return
    if len(data) < 4 or data[0] != _MPY_MAGIC or data[1] != _MPY:
        raise UseError(f"{path} is no .mpy of version {_MPY}")
    native = data[2] >> 2 & 0xF
    # a module for a smaller ARM runs on a larger one
    both_arm = (
        native and ARCHITECTURES[native].startswith("armv") and architecture.startswith("armv7")
    )
    if native and ARCHITECTURES[native] != architecture and not both_arm:
        raise UseError(f"{path} is made for {ARCHITECTURES[native]}, not for {architecture}")


def read(path: Path) -> Update:
    """The update in a file: complete, every byte as its manifest says, else `RefusedError`. No signature is checked."""
    if not path.exists():
        raise UndoneError(
            f"cannot read {shown_path(path)!r}: no such file",
            code="file.read",
            hint="tally update make writes update files",
        )
    raw = files.read(path, limits.UPDATE_BYTES)
    try:
        return update.parse(raw)
    except TallystickError as error:
        refused = error.code == "update.hash"
        kind = RefusedError if refused else UndoneError
        hint = "" if refused else "tally update make writes update files"
        raise kind(f"{shown_path(path)!r}: {error.detail}", code=error.code, hint=hint) from error


def check(one: Update, key: PublicKey) -> None:
    """Did this key sign it? `RefusedError` if not."""
    try:
        one.manifest.signed.verify(key)
    except TallystickError as error:
        raise RefusedError(
            f"no board that pins {key.kid.hex()} takes this update: {error.detail}",
            code=error.code,
            hint="boards take updates of the key that was pinned when they were provisioned",
        ) from error


def public_key(path: Path) -> PublicKey:
    """The public key in a file: the did:key of `update.pub`, or the other half of `update.key`."""
    text = files.read(path, our_limits.KEY_FILE_BYTES)
    try:
        secret = b"PRIVATE" in text
        public = None if secret else did.public_key(text.decode("ascii").strip())
        key = public or PrivateKey.from_pem(text).public
    except (TallystickError, UnicodeDecodeError) as error:
        raise UseError(
            f"{shown_path(path)!r} is no update key", hint="tally update keygen makes update.pub"
        ) from error
    if key.alg != ED25519:
        raise UseError(f"{shown_path(path)!r} is no Ed25519 key")
    return key


def _machine_name(manifest: Manifest) -> str:
    """mpy-cross's name of the machine that an agent was compiled for; of an image, its chip."""
    if manifest.kind is Kind.IMAGE:
        names = {number: name for name, number in CHIP_IDS.items()}
        return names.get(manifest.machine, f"chip {manifest.machine}")
    number = manifest.machine >> 8
    return ARCHITECTURES[number] if number < len(ARCHITECTURES) else f"architecture {number}"


def manifest_facts(manifest: Manifest) -> dict[str, object]:
    """What a manifest says, for people; its signature is not checked."""
    return {
        "counter": manifest.counter,
        "minimum": manifest.minimum,
        "version": manifest.version,
        "kind": manifest.kind.name.lower(),
        "board": None if manifest.board is None else shown(manifest.board),
        "machine": _machine_name(manifest),
        "digest": manifest.digest.hex() if manifest.kind is Kind.AGENT else None,
        "signed_by": manifest.signed.kid.hex(),
    }


def facts(one: Update) -> dict[str, object]:
    """What an update says of itself; nothing of it is checked but the hashes."""
    return {
        "update": one.id.hex(),
        **manifest_facts(one.manifest),
        "files": len(one.entries),
        "bytes": sum(map(len, one.objects.values())),
    }


def agent_of(folder: Path | None, architecture: str) -> AgentFiles:
    """The compiled agent in a folder, or of the source."""
    return agent_files.built(architecture) if folder is None else agent_files.in_folder(folder)
