"""Gives records to the broker, and hears what the gateway says of them.

Rules
* Everything is published out of the journal, never out of memory.
* Records go on from the acknowledged one at each connection, again when no acknowledgement comes for long,
  and out of order where an acknowledgement says `missing`.
* Nothing in a message counts before its signature is verified. That needs most of a small heap: a message waits until
  the agent is back at the top (`heed`), where the least is in use, and the next one comes after it.
"""

import gc

from micropython import const

from tally import cose, hal, once, unload
from tally.trust import MessageError, TrustError, opened

_GREETING_MS = const(3000)  # for the retained acknowledgement, before a session's beacon is signed
_RESEND_MS = const(30000)
_LAST_RESEND_MS = const(600000)
_LAST_COMMAND = const(3)  # of those that wait
_MAX_PASSED_OVER = const(64)  # unreadable records in one step


class Publisher:
    """milestone, checkpoint, nonce: what acknowledgements told last. refused: why the last one was, or None.
    cursor: seq to publish next. commands: as they came; the agent obeys one at a time. manifest, part: what came of an
    update last, or None."""

    def __init__(self, board, timed, trouble):
        """timed(unix_s, age_s) takes the time of an acknowledgement; trouble(OSError) hears of the storage."""
        self._board = board
        self._chain = board.chain
        self._timed = timed
        self._trouble = trouble
        self.link = None
        self.milestone = None
        self.checkpoint = None
        self.nonce = None
        self.refused = None
        self.cursor = self._chain.upto + 1
        self.commands = []
        self._word = []  # an acknowledgement, or a grant if _granting
        self._granting = False
        self.manifest = None  # of an update, as it came
        self.part = None  # of it
        self._missing = []
        self._progress_ms = hal.ticks_ms()
        self._patience = _RESEND_MS
        self._session = 0
        self._greet_ms = None
        self._mark = None  # (seq of a record of this session, uptime when it was signed)

    def signed(self, seq):
        """A record is new: its acknowledgement will be, too."""
        if self._mark is None:
            self._mark = (seq, hal.uptime_s())

    def greeting_due(self):
        """Whether the beacon of this connection is due; True once."""
        if self._greet_ms is None or hal.ticks_diff(hal.ticks_ms(), self._greet_ms) < 0:
            return False
        self._greet_ms = None
        return True

    def publish(self):
        """A little of what is to be published. Raises OSError where the storage takes no note of a loss."""
        link, chain = self.link, self._chain
        if link.sessions != self._session and link.connected():
            self._session = link.sessions
            self.cursor = chain.upto + 1
            self._mark = None
            self._greet_ms = hal.ticks_add(hal.ticks_ms(), _GREETING_MS)
        if chain.head.next is None or (chain.halted and not chain.doubt) or not link.free():
            return
        if self._missing:
            self._send_missing()
        elif self.cursor < chain.head.next:
            self._send_next()
        elif chain.queue() and hal.ticks_diff(hal.ticks_ms(), self._progress_ms) > self._patience:
            # the broker took them all, and nobody says that they are safe
            self._progress_ms = hal.ticks_ms()
            self._patience = min(2 * self._patience, _LAST_RESEND_MS)
            self.cursor = chain.upto + 1

    def _send_next(self):
        """Publish the next record. What flash cannot give back is passed over and named by an event."""
        chain, journal = self._chain, self._chain.journal
        self.cursor = max(self.cursor, journal.first or 0)
        for _ in range(_MAX_PASSED_OVER):
            if self.cursor >= chain.head.next:
                return
            data = journal.read(self.cursor)
            if data is not None:
                if self.link.publish(data):
                    self.cursor += 1
                return
            chain.lose(self.cursor)
            self.cursor += 1

    def _send_missing(self):
        """Publish one record that the gateway asked for, if it is still here."""
        first, last = self._missing[0]
        first = max(first, self._chain.journal.first or 0)
        if first > last:
            self._missing.pop(0)
            return
        data = self._chain.journal.read(first)
        if data is None or self.link.publish(data):
            self._missing[0] = (first + 1, last)

    def hear(self, topic, data):
        """A message of the broker."""
        if topic.endswith(b"/cmd"):
            if data:  # one that is too many takes the last one's place
                self.commands[_LAST_COMMAND:] = (bytes(data),)
            return
        if topic.endswith(b"/update"):
            self.manifest = bytes(data)
            return
        if topic.endswith(b"/part"):
            self.part = bytes(data)
            return
        self._granting = topic.endswith(b"/grant")
        if self._granting or topic.endswith(b"/ack"):
            self.heed()  # a link that brings several at once
            self._word.append(data)

    def heed(self):
        """Take the message that waits, if one does."""
        if not self._word:
            return
        gc.collect()  # what is loaded for it is not to be scattered
        board = self._board
        try:
            if self._granting:
                if board.trust.accept(self._word):
                    board.log("granted gateway %s" % cose.kid(board.trust.gateway).hex())
            elif board.trust.gateway is None:
                self._word.clear()
            else:
                try:
                    gateway = board.trust.gateway
                    payload = opened(self._word, gateway, cose.ACKNOWLEDGEMENT)
                    told = once("message", "acknowledgement", payload, gateway, board.device)
                except MessageError as error:
                    self.refused = str(error)
                    raise
                finally:
                    unload("decode")
                self.refused = None
                self._acknowledged(told)
        except (MessageError, TrustError) as error:
            board.log("refused: %s" % error)
        except OSError as error:
            self._trouble(error)

    def _acknowledged(self, told):
        chain = self._chain
        before = chain.upto
        if not chain.acknowledge(told):
            self._board.log("halted: %s" % chain.halted)
            return
        # An older word of the same gateway says nothing new; another gateway counts its own log.
        held = self.checkpoint
        if held is None or held[0] != told.gateway or told.checkpoint[1] >= held[1]:
            self.checkpoint = told.checkpoint
            self.milestone = told.milestone or self.milestone
            self.nonce = told.nonce
        else:
            self._board.log("refused: message.old")  # a word that was recorded, or kept by a broker
        if chain.upto > before:
            self._progress_ms = hal.ticks_ms()
            self._patience = _RESEND_MS
            if self.cursor > before:  # else it went back: a command asked for what is safe already
                self.cursor = max(self.cursor, chain.upto + 1)
        self._missing = [pair for pair in told.missing if pair[1] < self.cursor]
        if self._greet_ms is not None:
            self._greet_ms = hal.ticks_ms()
        age_s = None
        if self._mark is not None and told.upto is not None and told.upto >= self._mark[0]:
            age_s = hal.uptime_s() - self._mark[1] + 1
            self._mark = None
        self._timed(told.time, age_s)
