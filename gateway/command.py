"""Commands to boards (docs/format.md, section 6): made once, sent, and what became of them.

1. Only a gateway that holds the owner's grant is obeyed, and only by a board that is enrolled.
2. The counter is kept in `DIR/command-counter` before the command leaves: two commands never have
   one counter, and none has a lower one than a command before it. It is the time in hundredths of a
   second, or one more than the last, so that the gateway that replaces this one counts higher.
3. The board's answer is for people: nobody signs it. The evidence is the board's own event with
   this counter, which comes with its records and is looked up in the gateway's database.
"""

from __future__ import annotations

import fcntl
import json
import queue
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tallystick import limits, message, record, topics
from tallystick.body import Event, EventCode
from tallystick_gateway import bounds
from tallystick_gateway.enrolment import EnrolledDevice, Enrolment
from tallystick_gateway.folder import Folder, FolderError, Identity, write_whole
from tallystick_gateway.mqtt import Login
from tallystick_gateway.store import Store

__all__ = ["ARGUMENTS", "Answer", "CommandError", "addressee", "confirmed", "make", "send"]

ARGUMENTS: Final[dict[str, tuple[str, ...]]] = {
    "report": (),
    "identify": ("seconds",),
    "resend": ("from-seq",),
    "reset": (),
    "interval": ("milliseconds",),
    "batch": ("readings",),
    "rotate": (),
    "unlock": (),
}
_PER_S: Final = 100
_POLL_S: Final = 0.1
_CONNECT_S: Final = 10.0


class CommandError(Exception):
    """A command was not sent; `hint` says what to do."""

    def __init__(self, detail: str, hint: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.hint = hint


@dataclass(frozen=True)
class Answer:
    """What a board says of a command. `code` is empty if it took it; `seq` is that of its event."""

    code: str
    detail: str
    seq: int | None


def addressee(identity: Identity, enrolment: Enrolment, name: str) -> EnrolledDevice:
    """The enrolled board of this id or name, which obeys this gateway as far as the enrolment tells
    (rule 1)."""
    found = [one for one in enrolment.devices.values() if name in (one.id.hex(), one.name)]
    if len(found) != 1:
        raise CommandError(
            f"{name[:64]!r} is not enrolled here", "give the id or the name of an enrolled board"
        )
    if enrolment.grant is None or enrolment.grant.key != identity.key.public:
        raise CommandError(
            "the enrolment file has no grant of this gateway: no board would obey",
            'the owner gives it: tally grant --gateway "$(tally-gateway identity --dir DIR)"',
        )
    return found[0]


def make(
    folder: Folder, identity: Identity, device: bytes, name: str, args: Sequence[int], now: float
) -> tuple[int, bytes]:
    """Counter and bytes of a command; `now` is Unix time in seconds."""
    path = folder.path / "command-counter"
    with (folder.path / "command-lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        counter = max(_kept(path) + 1, int(now * _PER_S))
        if counter > limits.SEQ:
            raise CommandError(f"the counter in {str(path)!r} is used up", "is the clock right?")
        write_whole(path, b"%d\n" % counter)
    return counter, message.sign_command(
        identity.key, device=device, counter=counter, name=name, args=list(args)
    )


def _kept(path: Path) -> int:
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return -1
    if not (text.isascii() and text.isdigit() and len(text) <= bounds.COUNTER_DIGITS):
        # a guess could repeat a counter: a person has to look
        raise FolderError(f"{str(path)!r} holds no counter", hint="remove it if the clock is right")
    return int(text)


def send(
    login: Login, device: bytes, counter: int, raw: bytes, *, keep: bool, wait_s: float
) -> Answer | None:
    """Publish the command and wait for the board's answer to it; None if none came in time.

    `keep`: the broker keeps it for a board that sleeps, until the next command or the answer.
    """
    where = topics.Device(device)
    heard: queue.Queue[tuple[str, object]] = queue.Queue(bounds.ANSWERS)
    client = _client(login, where, heard)
    try:
        client.connect(login.host, login.port, keepalive=30)
    except OSError as error:
        raise CommandError(
            f"no broker at {login.host}:{login.port}: {error.strerror or error}",
            "is it running, and is --broker its address?",
        ) from error
    client.loop_start()
    try:
        _let_in(heard)
        _publish(client, where.cmd, b"", keep=True)  # what an earlier call left there
        _publish(client, where.cmd, raw, keep=keep)
        answer = _answer(heard, counter, time.monotonic() + wait_s)
        if keep and answer is not None:
            _publish(client, where.cmd, b"", keep=True)
        return answer
    finally:
        client.disconnect()
        client.loop_stop()


def confirmed(
    folder: Folder, device: bytes, seq: int, counter: int, name: str, wait_s: float
) -> bool:
    """Has the gateway's database the board's own record `seq`, which says that it took the command?"""
    deadline = time.monotonic() + wait_s
    while True:
        if _is_event(folder, device, seq, counter, name):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)


def _is_event(folder: Folder, device: bytes, seq: int, counter: int, name: str) -> bool:
    try:
        store = Store.read(folder.database)
    except FolderError:
        return False
    try:
        raw = store.raw_at(device, seq)
    finally:
        store.close()
    if raw is None:
        return False
    body = record.parse(raw).body
    return body == Event(EventCode.COMMAND, (counter, name.encode()))


def _client(
    login: Login, where: topics.Device, heard: queue.Queue[tuple[str, object]]
) -> paho.Client:
    """A client that puts into `heard` what happens: in, refused, or an answer."""

    def tell(kind: str, what: object) -> None:
        if not heard.full():  # stops a flood of answers
            heard.put((kind, what))

    def on_connect(client: paho.Client, _u: Any, _flags: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            tell("refused", f"the broker refuses us: {reason}")
            return
        client.subscribe([(where.accepted, 1), (where.refused, 1)])

    def on_subscribe(_c: Any, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        bad = any(reason.is_failure for reason in reasons)
        tell("refused" if bad else "in", "the broker refuses a subscription" if bad else "")

    def on_message(_c: Any, _u: Any, got: paho.MQTTMessage) -> None:
        if len(got.payload) <= bounds.ANSWER_BYTES:
            tell("answer", (got.topic == where.accepted, bytes(got.payload)))

    made = paho.Client(CallbackAPIVersion.VERSION2, client_id=login.client_id, protocol=paho.MQTTv5)
    if login.user:
        made.username_pw_set(login.user, login.password)
    if login.ca_file:
        made.tls_set(ca_certs=login.ca_file)
    made.on_connect, made.on_subscribe, made.on_message = on_connect, on_subscribe, on_message
    return made


def _publish(client: paho.Client, topic: str, payload: bytes, *, keep: bool) -> None:
    try:
        told = client.publish(topic, payload, qos=1, retain=keep)
        told.wait_for_publish(_CONNECT_S)
    except (RuntimeError, ValueError) as error:
        raise CommandError("the connection to the broker broke off", "repeat it") from error
    if not told.is_published():
        raise CommandError("the broker does not take the command", "repeat it")


def _let_in(heard: queue.Queue[tuple[str, object]]) -> None:
    try:
        kind, what = heard.get(timeout=_CONNECT_S)
    except queue.Empty:
        raise CommandError("the broker does not answer") from None
    if kind == "refused":
        raise CommandError(str(what), "--user and --password-file; its ACL must let us write cmd")


def _answer(heard: queue.Queue[tuple[str, object]], counter: int, deadline: float) -> Answer | None:
    while (left := deadline - time.monotonic()) > 0:
        try:
            kind, what = heard.get(timeout=left)
        except queue.Empty:
            return None
        if kind != "answer" or not isinstance(what, tuple):
            continue
        taken, payload = what
        answer = _parsed(taken, payload, counter)
        if answer is not None:
            return answer
    return None


def _parsed(taken: bool, payload: bytes, counter: int) -> Answer | None:
    """The answer in a message; None if it is to another command, or is none."""
    try:
        said = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("counter") not in (counter, None):
        return None
    if taken:
        seq = said.get("seq")
        if said.get("counter") is None or not (seq is None or (type(seq) is int and seq >= 0)):
            return None
        return Answer("", "", seq)
    code, detail = said.get("code"), said.get("detail")
    if not isinstance(code, str) or not isinstance(detail, str):
        return None
    return Answer(_shown(code), _shown(detail), None)


def _shown(text: str) -> str:
    """What a stranger may have written, for a screen."""
    return "".join(one if one.isprintable() else "?" for one in text)[: bounds.DETAIL_CHARACTERS]
