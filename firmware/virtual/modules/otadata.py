"""Which program of the virtual board's flash runs, and which one will: the bootloader of ESP-IDF, with rollback.

The partition table is the file `partitions.csv` beside the folder that is the board's flash, in ESP-IDF's format;
without it the board has the table of MicroPython's ordinary image, with one program and no place for another.
`otadata.json` holds what the partition `otadata` would: two entries, each the number of an update and the state of its
program. What lies in a program's partition is checked (`image_fault`), and never run: on a virtual board the agent runs
on MicroPython's unix port whatever is flashed.

Rules, as in ESP-IDF with CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE
* A program that was set to start is NEW. Its first start makes it PENDING; unless it says that it is VALID before the
  next start, that one makes it ABORTED, and the program before it runs again.
* A wake-up from deep sleep asks nobody: the program that slept goes on.
"""

import json
import os
from hashlib import sha256

from machine import DEEPSLEEP_RESET, reset_cause
from micropython import const

NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, 0xFFFFFFFF
APP, DATA = 0, 1
OTA_0 = const(0x10)  # subtype of the first program that an update can replace

_TABLE = const("../partitions.csv")
_STATE = const("../otadata.json")
_ORDINARY = (
    ("nvs", DATA, 2, 0x9000, 0x6000),
    ("phy_init", DATA, 1, 0xF000, 0x1000),
    ("factory", APP, 0, 0x10000, 0x1F0000),
    ("vfs", DATA, 0x81, 0x200000, 0x200000),
)
_SUBTYPES = {"factory": 0, "ota": 0, "phy": 1, "nvs": 2, "coredump": 3, "fat": 0x81, "spiffs": 0x82}
_MAGIC = const(0xE9)
_CHECKSUM = const(0xEF)


def _size(text):
    unit = {"K": 1024, "M": 1048576}.get(text[-1:])
    return int(text[:-1], 0) * unit if unit else int(text, 0)


def table():
    """The partitions: (label, type, subtype, address, bytes) each."""
    try:
        lines = open(_TABLE)
    except OSError:
        return _ORDINARY
    found = []
    with lines:
        for line in lines:
            words = [word.strip() for word in line.split("#")[0].split(",")]
            if len(words) < 5:
                continue
            label, kind, name, address, size = words[:5]
            kind = APP if kind == "app" else DATA if kind == "data" else int(kind, 0)
            if kind == APP and name.startswith("ota_"):
                subtype = OTA_0 + int(name[4:])
            else:
                subtype = _SUBTYPES[name] if name in _SUBTYPES else int(name, 0)
            found.append((label, kind, subtype, _size(address), _size(size)))
    return tuple(found)


def programs():
    """The partitions that updates go to, in order."""
    return sorted(
        (one for one in table() if one[1] == APP and one[2] >= OTA_0), key=lambda one: one[2]
    )


def load():
    """{"entries": [[number, state], [number, state]], "running": label}"""
    try:
        with open(_STATE) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {"entries": [[0, UNDEFINED], [0, UNDEFINED]], "running": None}


def save(state):
    with open(_STATE + "~", "w") as file:
        json.dump(state, file)
        file.flush()
    os.rename(_STATE + "~", _STATE)


def active(state):
    """The entry that counts, None if none does."""
    good = [one for one in state["entries"] if one[0] and one[1] not in (INVALID, ABORTED)]
    return max(good) if good else None


def chosen(state):
    """Label of the program that starts next."""
    entry = active(state)
    places = programs()
    if entry and places:
        return places[(entry[0] - 1) % len(places)][0]
    first = [one[0] for one in table() if one[1] == APP and one[2] == 0]
    return first[0] if first else places[0][0]


def boot():
    """What the bootloader does at each start; the label of the program that runs."""
    state = load()
    if state["running"] is not None and reset_cause() == DEEPSLEEP_RESET:
        return state["running"]
    for entry in state["entries"]:
        if entry[1] == PENDING:
            entry[1] = ABORTED
    entry = active(state)
    if entry and entry[1] == NEW:
        entry[1] = PENDING
    state["running"] = chosen(state)
    save(state)
    return state["running"]


def set_boot(label):
    """Have the partition of this label start next; "factory" forgets all updates."""
    state = load()
    labels = [one[0] for one in programs()]
    if label not in labels:
        state["entries"] = [[0, UNDEFINED], [0, UNDEFINED]]
    else:
        entry = active(state)
        number = (entry[0] if entry else 0) + 1
        while (number - 1) % len(labels) != labels.index(label):
            number += 1
        at = 1 - state["entries"].index(entry) if entry else 0
        state["entries"][at] = [number, NEW]
    save(state)


def confirm():
    """The program that counts works. False on a board that has none but the one from the factory."""
    state = load()
    entry = active(state)
    if entry is None or not programs():
        return False
    if entry[1] != VALID:
        entry[1] = VALID
        save(state)
    return True


def image_fault(file, limit):
    """What is wrong with a program (esp_image_format.h): None, or the words. file: at its beginning. limit: bytes."""
    head = file.read(24)
    if len(head) < 24 or head[0] != _MAGIC:
        return "no program"
    digest = sha256(head)
    checksum = _CHECKSUM
    at = 24
    for _ in range(head[1]):
        segment = file.read(8)
        digest.update(segment)
        left = int.from_bytes(segment[4:], "little") if len(segment) == 8 else limit
        at += 8
        if at + left > limit:
            return "a segment that does not fit"
        at += left
        while left:
            piece = file.read(min(left, 1024))
            if not piece:
                return "cut short"
            left -= len(piece)
            digest.update(piece)
            for value in piece:
                checksum ^= value
    rest = file.read(16 - at % 16)
    if not rest or rest[-1] != checksum:
        return "wrong checksum"
    digest.update(rest)
    if head[23] == 1 and file.read(32) != digest.digest():
        return "wrong SHA-256"
    return None
