"""The boards that Tallystick knows: one folder each, `boards/<id>/board.toml`. Adding a board is adding a folder.

Rules
* A file is taken whole or refused: an unknown key, a missing one and a value of another type are errors.
* A pin does one thing. Two wires on one pin is an error; a strap that is used is a warning, because it can be meant.
* Offsets are those of the chip: MicroPython's image goes to 0x1000 on the first ESP32 and to 0 on its successors. A
  file that says otherwise is refused, since a board flashed by it would not start.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tallystick_host import files, limits
from tallystick_host.errors import UseError
from tallystick_host.words import shown_path

__all__ = ["Board", "BoardFileError", "find", "folder", "kind", "load_all", "read"]

IMAGE_OFFSET: Final = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0, "esp32c6": 0}
LAST_PIN: Final = {"esp32": 39, "esp32s3": 48, "esp32c3": 21, "esp32c6": 30}
# pins of the flash, or that do not exist
_NO_PIN: Final = {
    "esp32": {6, 7, 8, 9, 10, 11, 20, 24, 28, 29, 30, 31},
    "esp32s3": {22, 23, 24, 25, *range(26, 33)},
    "esp32c3": set(range(12, 18)),
    "esp32c6": set(range(24, 31)),
}
STRAPS: Final = {
    "esp32": {
        0: "download mode",
        2: "download mode",
        5: "SDIO timing",
        12: "flash voltage",
        15: "boot log",
    },
    "esp32s3": {0: "download mode", 3: "JTAG", 45: "flash voltage", 46: "boot log"},
    "esp32c3": {2: "download mode", 8: "download mode", 9: "download mode"},
    "esp32c6": {
        4: "SDIO timing",
        5: "SDIO timing",
        8: "download mode",
        9: "download mode",
        15: "JTAG",
    },
}
_INPUT_ONLY: Final = {"esp32": {34, 35, 36, 37, 38, 39}}
_USB: Final = re.compile("[0-9a-f]{4}:[0-9a-f]{4}")
_ID: Final = re.compile("[A-Z][A-Z0-9_]*")
_VARIABLE: Final = "TALLY_BOARDS"

# table -> key -> type; a question mark: may be absent
_HARDWARE: Final[dict[str, dict[str, type]]] = {
    "board": {"id": str, "name": str, "simulator": bool},
    "chip": {"name": str, "flash_mib": int},
    "micropython": {
        "download": str,
        "minimum": str,
        "image_offset": int,
        "architectures": dict,
    },
    "console": {"baud": int, "usb": list, "native_usb": bool},
    "download_mode": {"recipe": list},
    "pins": {
        "led?": int,
        "led_active?": int,
        "i2c": dict,
        "onewire": int,
        "pulse": int,
        "adc": int,
        "sd?": dict,
    },
    "modem?": {
        "type": str,
        "baud": int,
        "tx": int,
        "rx": int,
        "dtr?": int,
        "ring?": int,
        "reset?": int,
        "power_key": int,
        "power_on?": int,
        "flight?": int,
        "status?": int,
        "on_ms": int,
        "off_ms": int,
        "start_ms": int,
        "toggles?": bool,
    },
    "battery?": {"adc": int},
    "sensor": {"module": str, "channels": list},
    "key": {"storage": str},
}
_SIMULATOR: Final[dict[str, dict[str, type]]] = {
    "board": {"id": str, "name": str, "simulator": bool},
    "micropython": {"launcher": str, "minimum": str, "architectures": dict},
    "sensor": {"module": str, "channels": list},
    "key": {"storage": str},
}
_MODEM_PINS: Final = (
    *("tx", "rx", "dtr", "ring", "reset", "power_key", "power_on", "flight", "status"),
)
_DRIVEN: Final = ("led", "i2c.sda", "i2c.scl", "modem.tx", "modem.power_key", "modem.power_on")


class BoardFileError(UseError):
    """A board.toml that is not in the form."""


@dataclass(frozen=True)
class Board:
    """One board. `image_offset`: where MicroPython's image goes; `usb`: vendor:product, four digits each.

    `architectures`: width of a word in bits -> mpy-cross's name. `pins`: what is wired -> GPIO.
    `modem_args`: of the setting of that name (docs/cellular.md), empty without a modem.
    """

    id: str
    name: str
    simulator: bool
    sensor: str
    storage: str
    minimum: str
    architectures: dict[int, str]
    chip: str = ""
    flash_bytes: int = 0
    download: str = ""
    image_offset: int = 0
    baud: int = 115_200
    usb: tuple[str, ...] = ()
    native_usb: bool = False
    recipe: tuple[str, ...] = ()
    pins: dict[str, int] = field(default_factory=dict)
    led_active: int = 1
    modem: str = ""
    modem_args: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    @property
    def architecture(self) -> str:
        """mpy-cross's name of the machine of the board's usual width."""
        return next(iter(self.architectures.values()))

    def facts(self) -> dict[str, object]:
        """For `--json`."""
        return {**vars(self), "architectures": {str(k): v for k, v in self.architectures.items()}}


def folder() -> Path:
    """Where the boards' folders are: named in TALLY_BOARDS, in the package, or in the source."""
    named = os.environ.get(_VARIABLE)
    here = Path(__file__).resolve().parent
    for place in [Path(named)] if named else [here / "board_files", here.parent / "boards"]:
        if place.is_dir():
            return place
    raise UseError("no folder of boards", hint=f"name it in {_VARIABLE}")


def load_all(place: Path | None = None) -> list[Board]:
    """All boards, by id. `BoardFileError` names the first file that is not in the form."""
    found = sorted((place or folder()).glob("*/board.toml"))
    return [read(path) for path in found]


def find(id: str, place: Path | None = None) -> Board:
    """The board of that id, in whatever case; `UseError` lists those that there are."""
    known = load_all(place)
    for board in known:
        if board.id == id.upper():
            return board
    raise UseError(f"no board {id!r}", hint=f"there are {', '.join(board.id for board in known)}")


def kind(board: Board | None, virtual: Path | None) -> str | None:
    """What a credential may say of a board: the id of `board`; of a virtual one, that of the simulator, nothing else.

    None: nobody said what it is.
    """
    if virtual is not None and board is None:
        board = next((one for one in load_all() if one.simulator), None)
    # stops a simulator from getting the credential of a real board
    if virtual is not None and board is not None and not board.simulator:
        raise UseError(f"a virtual board is no {board.id}", hint="leave --board out")
    return None if board is None else board.id


def read(path: Path) -> Board:
    """The board that `path` describes."""
    name = shown_path(path)
    try:
        table = tomllib.loads(files.read(path, limits.BOARD_FILE_BYTES).decode())
    except (ValueError, RecursionError) as error:
        raise BoardFileError(f"{name!r} is not TOML: {error}") from error
    try:
        return _board(table, path.parent.name)
    except BoardFileError as error:
        raise BoardFileError(f"{name!r}: {error.detail}", code="board.form") from error


def _board(table: dict[str, Any], place: str) -> Board:
    head = table.get("board")
    simulator = isinstance(head, dict) and head.get("simulator") is True
    _shape(table, _SIMULATOR if simulator else _HARDWARE)
    if table["board"]["id"] != place or not _ID.fullmatch(place):
        raise BoardFileError(f"the id {table['board']['id']!r} is not the folder's name {place!r}")
    micropython = table["micropython"]
    try:
        architectures = {
            int(bits): str(name) for bits, name in micropython["architectures"].items()
        }
    except ValueError as error:
        raise BoardFileError("architectures is {<bits> = <name>}") from error
    if not architectures:
        raise BoardFileError("architectures is empty")
    common = {
        "id": table["board"]["id"],
        "name": table["board"]["name"],
        "simulator": simulator,
        "sensor": table["sensor"]["module"],
        "storage": table["key"]["storage"],
        "minimum": micropython["minimum"],
        "architectures": architectures,
    }
    if simulator:
        return Board(**common)
    chip, console = table["chip"]["name"], table["console"]
    if chip not in IMAGE_OFFSET:
        raise BoardFileError(f"no chip {chip!r}: one of {', '.join(IMAGE_OFFSET)}")
    if micropython["image_offset"] != IMAGE_OFFSET[chip]:
        raise BoardFileError(
            f"image_offset is {micropython['image_offset']:#x}; on the {chip} it is {IMAGE_OFFSET[chip]:#x}"
        )
    if not console["usb"] or not all(
        isinstance(u, str) and _USB.fullmatch(u) for u in console["usb"]
    ):
        raise BoardFileError("usb is a list of vendor:product, four hexadecimal digits each")
    recipe = table["download_mode"]["recipe"]
    if not recipe or not all(isinstance(step, str) and step for step in recipe):
        raise BoardFileError("recipe is a list of steps")
    pins = _pins(table)
    return Board(
        **common,
        chip=chip,
        flash_bytes=table["chip"]["flash_mib"] * 2**20,
        download=micropython["download"],
        image_offset=micropython["image_offset"],
        baud=console["baud"],
        usb=tuple(console["usb"]),
        native_usb=console["native_usb"],
        recipe=tuple(recipe),
        pins=pins,
        led_active=table["pins"].get("led_active", 1),
        modem=table.get("modem", {}).get("type", ""),
        modem_args=_modem_args(table.get("modem", {})),
        warnings=_check_pins(pins, chip),
    )


def _modem_args(modem: dict[str, Any]) -> dict[str, Any]:
    """What the board's agent is told of its modem."""
    if not modem:
        return {}
    told = ("baud", "tx", "rx", "power_key", "on_ms", "off_ms", "start_ms")
    args = {"model": modem["type"], **{name: modem[name] for name in told}}
    high = [modem[name] for name in ("power_on", "flight") if name in modem]
    return {**args, "high": high} if high else args


def _shape(table: dict[str, Any], form: dict[str, dict[str, type]]) -> None:
    """Exactly these tables and keys, of these types."""
    _keys(table, form, "table")
    for name, keys in form.items():
        inner = table.get(name.rstrip("?"))
        if inner is None:
            continue
        if not isinstance(inner, dict):
            raise BoardFileError(f"{name!r} is not a table")
        _keys(inner, keys, f"key in [{name.rstrip('?')}]")
        for key, kind in keys.items():
            value = inner.get(key.rstrip("?"))
            # in Python, true is a number
            right = type(value) is kind
            if value is not None and not right:
                raise BoardFileError(f"{name.rstrip('?')}.{key.rstrip('?')} is no {kind.__name__}")


def _keys(table: dict[str, Any], form: dict[str, Any], what: str) -> None:
    allowed = {name.rstrip("?") for name in form}
    for name in table:
        if name not in allowed:
            raise BoardFileError(f"unknown {what}: {name!r}")
    for name in form:
        if not name.endswith("?") and name not in table:
            raise BoardFileError(f"missing {what}: {name!r}")


def _pins(table: dict[str, Any]) -> dict[str, int]:
    """What is wired -> GPIO."""
    found: dict[str, Any] = {}
    for name, value in table["pins"].items():
        if name == "led_active":
            continue
        if isinstance(value, dict):
            wanted = {"i2c": {"sda", "scl"}, "sd": {"miso", "mosi", "sck", "cs"}}[name]
            if set(value) != wanted:
                raise BoardFileError(f"pins.{name} has {', '.join(sorted(wanted))}")
            found |= {f"{name}.{wire}": pin for wire, pin in value.items()}
        else:
            found[name] = value
    modem = table.get("modem", {})
    found |= {f"modem.{name}": modem[name] for name in _MODEM_PINS if name in modem}
    if "battery" in table:
        found["battery.adc"] = table["battery"]["adc"]
    for name, pin in found.items():
        if type(pin) is not int:
            raise BoardFileError(f"{name} is no pin: {pin!r}")
    return found


def _check_pins(pins: dict[str, int], chip: str) -> tuple[str, ...]:
    """The warnings; `BoardFileError` for a pin that is not there or does two things."""
    taken: dict[int, str] = {}
    warnings = []
    for name, pin in pins.items():
        if not 0 <= pin <= LAST_PIN[chip] or pin in _NO_PIN[chip]:
            raise BoardFileError(f"{name} is on GPIO {pin}, which the {chip} does not have free")
        if pin in _INPUT_ONLY.get(chip, ()) and name in _DRIVEN:
            raise BoardFileError(f"{name} is on GPIO {pin}, which is an input only")
        if pin in taken:
            raise BoardFileError(f"GPIO {pin} is both {taken[pin]} and {name}")
        taken[pin] = name
        if pin in STRAPS[chip]:
            warnings.append(f"{name} is on GPIO {pin}, a strap ({STRAPS[chip][pin]})")
    return tuple(warnings)
