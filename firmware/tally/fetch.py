"""What an update brings, fetched into the other place and verified (docs/format.md, 6.1). Its object lives as long.

1. The index, then file after file in its order: part by part, asked for again when none comes, and for less each time:
   some ways lose a long message, or one with certain bytes in it. What the running agent has already is copied. What is
   there after a power cut or a reset is not fetched again.
2. A file counts when it is read back and has its hash; a file that is still fetched has another name.
3. Start files are compared, never brought: another boot.py or main.py is work for a cable.
4. At the end everything is read back once more: the digest of the other place is the one that was signed. Nothing of it
   is imported before, because MicroPython hangs on a .mpy that ends early.
5. Then the switch, if the key that signed the update is still the one that is pinned, in this order: the story, the
   place, the counter, a reset. A cut in between repeats or completes it.

What does not fit three times is given up until the manifest comes again.
"""

import errno
import os
from hashlib import sha256

from micropython import const

from tally import hal, once, place, update
from tally.trust import UPDATES
from tally.version import VERSION

_PART = const(768)
_HEAD = const(36)
_AGAIN_MS = const(5000)
_PATIENCE_MS = const(30000)  # of a board that could sleep
_TELL_MS = const(5000)
_FAILURES = const(3)
_RESERVE = const(65536)
_MAX_FILE = const(65536)
_MAX_PATH = const(64)
_START = ("boot.py", "main.py")


class Fetch:
    """One update under way. step() is called again and again; it returns soon, and True when there is no more to do."""

    def __init__(self, agent, fields):
        self.agent = agent
        self.number = fields[0]
        self.version = fields[2]
        self.index = fields[7]
        self.other = place.other()
        self.at = 0  # of the next line in the index
        self.failures = 0
        self.total = None  # bytes of all files
        self.done = 0
        self.told_ms = None
        self.key = hal.blob(agent.board.store, UPDATES, 32)
        self.job = (place.INDEX, fields[6], self.index)
        self.have = max(0, place.size(place.INDEX + "~"))
        if file_hash(place.INDEX) == self.index:
            self.job = None
        self.tries = 0  # without an answer
        self.asked_ms = None
        self.fed_ms = hal.ticks_ms()  # when something came last

    def is_fed(self):
        """Whether it is worth staying awake for."""
        if not self.agent.link.connected():
            return False
        return hal.ticks_diff(hal.ticks_ms(), self.fed_ms) < _PATIENCE_MS

    def step(self):
        """Raises FlashFault."""
        agent = self.agent
        part = agent.publisher.part
        agent.publisher.part = None
        if not agent.link.connected():
            self.asked_ms = None
            return False
        try:
            if part is not None and self.job is not None:
                self._take(part)
            if self.job is None:
                self._next()
            elif self.have == self.job[1]:
                self.complete()
            elif self._due():
                self._ask()
        except update.Refused as error:
            update.refuse(agent, self.number, *error.args)
            return True
        except MemoryError:
            update.scarce(agent, self.number)
            return True
        except OSError as error:
            update.fault(agent, self.number, error)
            return True
        return False

    def _due(self):
        return self.asked_ms is None or hal.ticks_diff(hal.ticks_ms(), self.asked_ms) >= _AGAIN_MS

    def _ask(self):
        _, size, digest = self.job
        length = min(_PART, self.agent.link.max_message - _HEAD, size - self.have)
        length = length >> 3 * self.tries or 1
        self.tries += 1
        self.asked_ms = hal.ticks_ms()
        try:
            self.agent.link.tell("/update/want", "%s %d %d" % (digest.hex(), self.have, length))
        except (update.Trouble, OSError, ValueError):
            self.asked_ms = None  # the link finds out by itself

    def _take(self, part):
        """A part that came, if it is the one that was asked for."""
        path, size, digest = self.job
        data = memoryview(part)[_HEAD:]
        at = int.from_bytes(part[32:_HEAD], "big")
        if part[:32] != digest or at != self.have or not 0 < len(data) <= size - self.have:
            return
        hal.flash_check()
        self.fed_ms = hal.ticks_ms()
        self.write(path, data)
        self.asked_ms = None
        self.tries = 0
        self.have += len(data)
        self._progress()

    def write(self, path, data):
        """Behind what is there of a file."""
        place.make_folder(path)
        file = None
        try:
            file = open(path + "~", "ab")
            file.write(data)
            file.close()
        except OSError as error:
            hal.flash_check(error, file)
            raise

    def complete(self):
        """All bytes of a file are here: do they have its hash?"""
        path, size, digest = self.job
        if not size:
            place.make_folder(path)
            open(path + "~", "wb").close()
        self.have = 0
        self.asked_ms = None
        if file_hash(path + "~") == digest:
            os.rename(path + "~", path)
            self.job = None
            if path != place.INDEX:
                self.done += size
        else:
            os.remove(path + "~")
            self.failed(path)

    def failed(self, what):
        self.failures += 1
        self.agent.board.log("update: %s is not what was signed" % what)
        if self.failures >= _FAILURES:
            os.remove(place.MANIFEST)
            raise update.Refused("hash", "%s is not what was signed" % what)

    def _progress(self, state="fetching"):
        now = hal.ticks_ms()
        if self.told_ms is None or hal.ticks_diff(now, self.told_ms) >= _TELL_MS:
            self.told_ms = now
            update.tell(
                self.agent,
                counter=self.number,
                state=state,
                done=self.done + self.have,
                size=self.total,
            )

    def _next(self):
        """The next line of the index."""
        if self.total is None:
            self.survey()
        with open(place.INDEX, "rb") as file:
            file.seek(self.at)
            line = file.readline()
            self.at = file.tell()
        if not line:
            self._finish()
            return
        self.is_here(*self.parsed(line))

    def is_here(self, path, size, digest):
        """Whether it need not be fetched; else it is the next job."""
        if path in _START:
            if file_hash(path) != digest:
                raise update.Refused("start", "another %s: by cable only" % path)
            return True
        target = self.other + path
        running = place.here() + path
        if place.size(target) == size:  # step 4 looks at it again
            self.done += size
            return True
        if place.size(running) == size and file_hash(running) == digest:
            self._copy(running, target)
            self.done += size
            return True
        self.job = (target, size, digest)
        self.have = max(0, place.size(target + "~"))
        if self.have > size:
            os.remove(target + "~")
            self.have = 0
        return False

    def survey(self):
        """Look through the index once: form, and space."""
        self.total = missing = 0
        with open(place.INDEX, "rb") as file:
            for line in file:
                path, size, _ = self.parsed(line)
                if path not in _START:
                    self.total += size
                    if place.size(self.other + path) != size:
                        missing += size + 4096 - max(0, place.size(self.other + path + "~"))
        if missing + _RESERVE > hal.free_bytes():
            raise update.Refused("space", "%d bytes are needed" % missing)

    def _copy(self, source, target):
        place.make_folder(target)
        buffer = bytearray(256)
        with open(source, "rb") as old:
            file = open(target + "~", "wb")
            try:
                length = old.readinto(buffer)
                while length:
                    file.write(memoryview(buffer)[:length])
                    length = old.readinto(buffer)
                file.close()
            except OSError as error:
                hal.flash_check(error, file)
                raise
        os.rename(target + "~", target)

    def _finish(self):
        """Steps 4 and 5."""
        agent = self.agent
        if not self.good():
            self.start_over()
            self.at = self.done = 0
            self.failed("the whole")
            return
        self.told_ms = None
        self._progress("switching")
        agent.board.log("update %d is complete, and goes on trial" % self.number)
        agent.seal()
        if hal.blob(agent.board.store, UPDATES, 32) != self.key:
            raise update.Refused("key", "the update key is another one now")
        self.switch()
        update.take(agent.board.store, self.number)
        agent.link.close()
        hal.sleep_ms(50)
        hal.reset()

    def good(self):
        return once("identity", "whole", self.other) == self.index

    def start_over(self):
        place.wipe()

    def switch(self):
        once("files", "replace", place.STORY, self.story(VERSION))
        place.switch()

    def story(self, before):
        return b"%d %s " % (self.number, before.encode()) + self.version

    def inside(self, path):
        return path.startswith(("lib/", "modem/", "sensors/", "tally/")) or path in _START

    def parsed(self, line):
        """(path, size, SHA-256) of a line. Raises Refused: what was signed is believed, and looked at all the same."""
        try:
            path, size, digest = line.decode().split(" ")
            size, digest = int(size), bytes.fromhex(digest.strip())
        except (ValueError, UnicodeError):
            raise update.Refused("index", "malformed index") from None
        if not self.inside(path) or ".." in path or len(path) > _MAX_PATH:
            raise update.Refused("path", "no place of an update: " + path[:_MAX_PATH])
        if not 0 <= size <= _MAX_FILE or len(digest) != 32:
            raise update.Refused("index", "malformed index")
        return path, size, digest


def file_hash(path):
    """SHA-256 of a file, b"" if it is not there."""
    total = sha256()
    buffer = bytearray(256)
    try:
        with open(path, "rb") as file:
            length = file.readinto(buffer)
            while length:
                total.update(memoryview(buffer)[:length])
                length = file.readinto(buffer)
    except OSError as error:
        if error.args[0] != errno.ENOENT:
            raise
        return b""
    return total.digest()
