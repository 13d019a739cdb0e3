"""A board's life between two power cuts, on simulated flash, and a gateway that listens to all of its lives.

Imported by the scripts beside it, with the agent and the simulated chip on sys.path. The chain, the journal and the
head are the agent's own. Only what needs a network is played: `Life` publishes as the agent does, and `Gateway`
says what a granted gateway's verified acknowledgement would say.
"""

import gc
import os
import sys
from hashlib import sha256

import tally
import vfs
from flash import NVS, Flash, Power, blank
from tally import ed25519, hal, keys, opening, record
from tally.chain import SETTLE_MS, Chain, Halted
from tally.head import Head
from tally.journal import SEGMENT_BYTES, Journal

BLOCKS = 64
LIMIT_BYTES = 2 * SEGMENT_BYTES
TIME = 1790000000
CODE = 99  # an event that means nothing
GATEWAY = b"gateway1"
MOUNT = "/flash"
GRAVE = []
HEADER_BYTES = 34  # of a draft, before its payload

tally.unload = lambda *names: (
    None
)  # compiled for each life anew, from source, it would take the time of the cuts
# what is kept for all lives must not scatter over the whole heap: a flash needs one large piece
gc.threshold(1 << 24)

_clock = [0]
hal.ticks_ms = lambda: _clock[0]


class Key(keys.Key):
    """The board's key. Ed25519 gives the same signature again, so each is computed once for all lives."""

    def __init__(self):
        seed = sha256(b"the key of a board that loses its power").digest()
        super().__init__(seed + ed25519.public(seed))
        self._signed = {}
        self.records = []  # (message, id), each once, in the order of their first signature
        self._numbers = {}

    def seal(self, draft, typ):
        payload = bytes(memoryview(draft.data)[: draft.at])[HEADER_BYTES:]
        signed = self._signed.get(payload)
        if signed is None:
            data, identity = super().seal(draft, typ)
            signed = self._signed[payload] = (bytes(data), identity)
            self._numbers[signed[0]] = len(self.records)
            self.records.append(signed)
        return signed

    def number(self, data):
        """Which of `records` these bytes are; KeyError for bytes that the key did not sign."""
        return self._numbers[bytes(data)]


KEY = Key()


class Place:
    """What survives a reboot: the cells of the flash and the partition of non-volatile storage."""

    def __init__(self, content=None, partition=None):
        self.content = content
        self.partition = {} if partition is None else partition
        if content is None:
            self.format()

    def format(self):
        """What a board does that finds its flash erased."""
        if self.content is None:
            self.content = blank(BLOCKS)
        vfs.VfsLfs2.mkfs(Flash(self.content, Power()))

    def copy(self, target=None):
        """Into the bytes of `target`, if it is given."""
        if target is None:
            return Place(bytearray(self.content), dict(self.partition))
        target[:] = self.content
        return Place(target, dict(self.partition))


class Gateway:
    """heard: (seq, number of the record), in the order of arrival. told: its newest acknowledgement or None."""

    def __init__(self, heard=(), told=None):
        self.heard = list(heard)
        self.told = told

    def copy(self):
        return Gateway(self.heard, self.told)

    def acknowledge(self, upto=None):
        """Up to this seq; without one, as far as it has heard without a gap."""
        held = {}
        for seq, number in self.heard:
            held.setdefault(seq, number)
        if upto is None:
            upto = -1 if self.told is None else self.told.upto
            while upto + 1 in held:
                upto += 1
        if upto >= 0:
            self.told = Told(upto, KEY.records[held[upto]][1])
        return self.told


class Told:
    """What `tally.message.Acknowledgement` is after its signature was verified."""

    def __init__(self, upto, identity):
        self.upto = upto
        self.id = identity
        self.gateway = GATEWAY
        self.checkpoint = [GATEWAY, upto + 1, bytes(32)]
        self.time = TIME


class Life:
    """From a start to a cut. Raises OSError where the power goes."""

    def __init__(self, place, gateway, number, power=None, eager=False, raises=False):
        """number: of the life; it stands in every event, so that a seq signed again is another record. raises: the
        flash fails as an ESP32's does."""
        hal._failed.clear()
        self.power = power or Power()
        self.flash = Flash(place.content, self.power, raises)
        self._raises = raises
        self.store = NVS(place.partition, self.power, eager)
        self.gateway = gateway
        self._number = number
        vfs.mount(vfs.VfsLfs2(self.flash), MOUNT)
        self.chain = None
        os.chdir(MOUNT)
        try:
            self.chain = Chain(self.store, KEY, Head(self.store), Journal(), LIMIT_BYTES)
        except OSError:
            self.end()
            raise
        self._cursor = self.chain.upto + 1

    def end(self):
        """The power is gone, or the board is reset: nothing is closed, and nothing reaches the flash any more."""
        self.power.off = True
        self.flash.dead = True
        if self._raises:  # what is collected would be closed, and this file system may not be used
            GRAVE.append((self.chain, list(hal._failed)))
        os.chdir("/")
        vfs.umount(MOUNT)

    # --- what the agent does

    def genesis(self):
        """The operator's command; given again where a cut has hidden whether it was heard."""
        if self.chain.head.next is None:
            self.chain.begin()

    def begin(self):
        """The first records of a start."""
        chain = self.chain
        chain.name_adopted(TIME)
        channels = [("temperature", "Cel", -2)]
        facts = ("1.0", bytes(16), 0, None, channels, 1000, None, None)
        self._sign(opening.opened, self._number, *facts)
        chain.name_gone(TIME)

    def event(self, size):
        self._sign(record.event, CODE, (self._number, bytes(size)))
        self.publish()

    def beacon(self):
        self._sign(record.beacon, None, None, None, self.chain.queue())
        self.publish()

    def _sign(self, build, *arguments):
        self.chain.sign(build, TIME, *arguments)
        self.chain.make_room(TIME)

    def publish(self):
        """All that is new, out of the journal; what cannot be read is named by the chain."""
        chain = self.chain
        self._cursor = max(self._cursor, chain.journal.first or 0)
        while chain.head.next is not None and self._cursor < chain.head.next:
            data = chain.journal.read(self._cursor)
            if data is not None:
                self.gateway.heard.append((self._cursor, KEY.number(data)))
            elif not self.power.off:
                chain.lose(self._cursor)
            self._cursor += 1

    def hear(self):
        """The retained acknowledgement, and the wait that a halted chain keeps after it."""
        told = self.gateway.told
        if told is not None and not self.chain.acknowledge(told):
            _clock[0] += SETTLE_MS + 1
            self.chain.settle()
            self._cursor = self.chain.upto + 1
        return self.chain.halted is None

    def go_on(self):
        """What a board does after a cut, with a gateway that only listens. False if it signs nothing."""
        self.gateway.acknowledge()
        return self.go_on_unheard()

    def go_on_unheard(self):
        """The same, and the gateway has heard nothing since its last acknowledgement."""
        if not self.hear():
            if self.chain.head.next is not None or self.gateway.told is not None:
                return False
            self.genesis()
        try:
            self.begin()
            for size in (40, 300, 0):
                self.event(size)
            self.chain.name_gone(TIME)
        except Halted:
            return False
        self.publish()
        return True


def say(*words):
    """One line in one write: `print` makes one of each word, which costs more here than a cut."""
    sys.stdout.write(" ".join([str(word) for word in words]) + "\n")


def listed(heard, start=0):
    return ",".join([str(number) for _, number in heard[start:]]) or "-"
