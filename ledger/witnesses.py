"""Witnesses: others who sign that this ledger's tree only grows (C2SP tlog-witness, `add-checkpoint`).

1. Each witness has a thread of its own: one that is slow or away holds up nobody, and milestones do not wait.
   What a thread sends is the newest checkpoint; what it could not send in time it passes over.
2. A witness that knows another size than we thought says so (409), and gets the proof from there.
3. Only lines of the configured key that verify are taken from an answer.
4. A witness who holds a checkpoint that this ledger's key signed and that is not part of this folder proves
   that there is another history: an old copy of the folder was restored, or two run. That is the end of
   signing. His word alone is not: he must show the checkpoint.
"""

from __future__ import annotations

import base64
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

import httpx
import structlog

from tallystick import checkpoint, note
from tallystick.cosignature import WitnessKey
from tallystick.errors import TallystickError
from tallystick.note import VerifierKey
from tallystick_ledger import tree
from tallystick_ledger.errors import ForkError, LedgerError
from tallystick_ledger.limits import WITNESS_ANSWER_BYTES, WITNESS_ANSWERS, WITNESS_S
from tallystick_ledger.reader import Reader

__all__ = ["Cosigned", "Witness", "Witnesses", "parse"]

_OK: Final = 200
_CONFLICT: Final = 409
_TRIES: Final = 3

log = structlog.get_logger("witness")


@dataclass(frozen=True)
class Witness:
    """Who cosigns, and the prefix of his addresses."""

    key: WitnessKey
    url: str


@dataclass(frozen=True)
class Cosigned:
    """A witness's line, with its newline, for the note of the milestone with this index."""

    index: int
    witness: str
    line: str


def parse(text: str) -> Witness:
    """`URL=name+hex+base64`: `LedgerError` otherwise."""
    url, _, line = text.partition("=")
    if not url.startswith(("http://", "https://")) or not line:
        raise LedgerError(
            f"'{text[:120]}' is not URL=KEY", hint="http://w.example/prefix=name+hex+base64"
        )
    try:
        return Witness(WitnessKey.parse(line), url.rstrip("/"))
    except TallystickError as error:
        raise LedgerError(
            f"the key of the witness at '{url}': {error.detail}",
            hint="the line that the witness's operator gives: a key of type 04",
        ) from error


class Witnesses:
    """All witnesses of one ledger; threads run while entered."""

    def __init__(self, database: Path, witnesses: Sequence[Witness]) -> None:
        self._answers: queue.Queue[Cosigned | ForkError] = queue.Queue(WITNESS_ANSWERS)
        self._feeds = [_Feed(database, one, self._answers) for one in witnesses]

    def __enter__(self) -> Self:
        for feed in self._feeds:
            feed.start()
        return self

    def __exit__(self, *_: object) -> None:
        for feed in self._feeds:
            feed.stop()

    def compare(self, reader: Reader) -> None:
        """Ask each, before anything new is signed, for what he holds of this ledger (rule 4); one who does not
        answer is passed over.
        """
        for feed in self._feeds:
            feed.compare(reader)

    def submit(self, index: int) -> None:
        """Have the checkpoint of this milestone cosigned."""
        for feed in self._feeds:
            feed.offer(index)

    def answers(self) -> Iterator[Cosigned]:
        """What has come; `ForkError` if a witness proved another history."""
        while True:
            try:
                one = self._answers.get_nowait()
            except queue.Empty:
                return
            if isinstance(one, ForkError):
                raise one
            yield one


class _Feed(threading.Thread):
    """The way to one witness."""

    def __init__(
        self, database: Path, witness: Witness, answers: queue.Queue[Cosigned | ForkError]
    ) -> None:
        super().__init__(name=f"witness {witness.key.name}", daemon=True)
        self._database = database
        self._witness = witness
        self._answers = answers
        self._client = httpx.Client(timeout=WITNESS_S, follow_redirects=False)
        self._wake = threading.Event()
        self._stopping = False
        self._index = 0
        self._size = 0  # of what he has cosigned
        self._silent = False

    def stop(self) -> None:
        """End soon; what is under way is left."""
        self._stopping = True
        self._wake.set()

    def offer(self, index: int) -> None:
        """The newest milestone is this one."""
        self._index = index
        self._wake.set()

    def run(self) -> None:
        """The newest checkpoint, whenever there is a newer one."""
        done = 0
        while not self._stopping:
            self._wake.wait()
            self._wake.clear()
            index = self._index
            if self._stopping or index == done:
                continue
            try:
                with Reader.open(self._database) as reader:
                    self._feed(reader, index)
                done = index
            except ForkError as error:
                self._answers.put(error)
                return
            except (LedgerError, TallystickError) as error:
                self._talk("error", "witness refuses", str(error))
            except Exception as error:  # noqa: BLE001 - whatever a stranger's answer does, signing goes on
                self._talk("warning", "witness unreachable", str(error) or type(error).__name__)
            else:
                self._silent = False

    def compare(self, reader: Reader) -> None:
        """Rule 4, at the start."""
        try:
            self._confront(reader)
        except httpx.HTTPError as error:
            self._talk("warning", "witness unreachable", str(error) or type(error).__name__)

    def _talk(self, level: str, what: str, reason: str) -> None:
        if not self._silent:
            getattr(log, level)(what, witness=self._witness.key.name, reason=reason[:300])
        self._silent = True

    def _feed(self, reader: Reader, index: int) -> None:
        """Send the note of milestone `index`; rules 2 and 3."""
        raw = reader.checkpoint(index)
        if raw is None:
            return
        sent = checkpoint.parse(raw)
        for _ in range(_TRIES):
            proof = (
                tree.consistency(reader.node, self._size, sent.size)
                if self._size <= sent.size
                else []
            )
            lines = [base64.b64encode(one).decode() for one in proof]
            head = "".join(f"{line}\n" for line in (f"old {self._size}", *lines))
            answer = self._client.post(
                f"{self._witness.url}/add-checkpoint", content=f"{head}\n".encode() + raw
            )
            body = answer.content[:WITNESS_ANSWER_BYTES]
            if answer.status_code == _OK:
                self._take(sent, index, body)
                self._size = sent.size
                return
            known = body.strip()
            if answer.status_code != _CONFLICT or not known.isdigit() or len(known) > 19:
                self._confront(reader)
                raise LedgerError(f"answers {answer.status_code}: {shown(body)}")
            self._size = int(known)
            if self._size > sent.size:
                self._confront(reader)
                return
        raise LedgerError("answers 409 again and again")

    def _take(self, sent: checkpoint.Checkpoint, index: int, body: bytes) -> None:
        answered = note.parse(sent.raw + body)
        if self._witness.key.seen_at(answered) is None:
            raise LedgerError("answers without a line of its key")
        key = self._witness.key
        for line in answered.signatures:
            if (line.name, line.key_id) == (key.name, key.id):
                encoded = note.base64_text(line.key_id + line.signature)
                text = f"\N{EM DASH} {line.name} {encoded}\n"
                self._answers.put(Cosigned(index, key.name, text))
                return

    def _confront(self, reader: Reader) -> None:
        """Compare the checkpoint that he shows, if our key signed it, with our own tree (rule 4)."""
        origin = checkpoint.ledger_name(reader.ledger)
        place = sha256(origin.encode()).hexdigest()
        answer = self._client.get(f"{self._witness.url}/{place}/checkpoint")
        if answer.status_code != _OK:
            return
        try:
            shown_by_him = checkpoint.parse(answer.content[:WITNESS_ANSWER_BYTES])
            shown_by_him.verify(VerifierKey(origin, reader.key))
        except TallystickError:
            return  # without our own signature it proves nothing
        size, head = shown_by_him.size, reader.head()
        if size > head.size or (size and tree.root(reader.node, size) != shown_by_him.root):
            raise ForkError(
                f"the witness {self._witness.key.name} holds a checkpoint of this ledger with size {size},"
                f" which is not part of this folder (size {head.size})",
                hint="restore the newest copy of the folder; an older one must never sign again",
            )


def shown(body: bytes) -> str:
    """The first words of an answer, fit for a log."""
    text = body[:200].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else " " for c in text).strip()
