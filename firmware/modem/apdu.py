"""Commands to an applet in the SIM card (ISO 7816-4), through the modem.

Rules
* AT+CCHO and AT+CGLA are asked for first, by their exact names: what looks like them (AT+CCHOPEN) is another thing. A
  session of theirs is no channel: the modem puts the channel into CLA, which stays as the applet has it.
* Else AT+CSIM: a logical channel is opened, and its number goes into CLA. Where no channel can be had, the basic one
  is used, on which the modem may select another applet at any time: whoever is refused opens this one anew.
* A channel stays open, with its applet, as long as the card has power, over resets of the board, too: who finds it
  again knows that the card was not taken out, and leaves no channel behind.
* 61xx is followed by GET RESPONSE, 6Cxx by the same command with that length, 6310 by the command's next form.
* What the modem refuses is tried again: on a weak signal SIM commands fail now and then. Not so what the card may have
  taken and must not have twice.
"""

from binascii import hexlify, unhexlify

from micropython import const

from modem.at import AtError

_LIMIT_MS = const(5000)
_TRIES = const(3)
_PARTS = const(8)  # of one answer
_LAST_CHANNEL = const(3)  # of those that CLA numbers in two bits
_SESSION = const(100)  # a place below is a channel, one above a session


class CardError(Exception):
    """The card said no. args[0]: status word, 4 hex digits; 0000 where the modem said it."""


class Applet:
    """A selected applet. at: of the modem. aid: its name, bytes. block: data bytes of one command, at most.

    channels: whether it may have one of its own. place: where it is spoken to, a number that outlasts this object; 0 is
    the basic channel. Given, the applet is taken to be there already."""

    def __init__(self, at, aid, block=64, channels=True, place=None):
        self._at = at
        self._aid = aid
        self.block = block
        self.place = 0
        self._session = None
        self._channel = 0
        if place is not None:
            self._be_at(place)
        elif not (channels and self._begin_session()):
            if not self._has("+CSIM=?"):
                raise CardError("0000")
            if channels:
                self._be_at(self._new_channel())
            self.select()

    def _be_at(self, place):
        self.place = place
        if place >= _SESSION:
            self._session = place - _SESSION
        else:
            self._channel = place

    def _begin_session(self):
        """Whether the modem has sessions, and one of them has the applet now."""
        if not self._has("+CCHO=?"):
            return False
        try:
            lines = self._at.ask('+CCHO="%s"' % hexlify(self._aid).decode().upper(), "", _LIMIT_MS)
        except AtError:
            return False  # all in use, or no such applet, which selecting it says more clearly
        for line in lines:
            word = line.split(":")[-1].strip()
            if word.isdigit():
                self._be_at(_SESSION + int(word))
        return self._session is not None

    def _new_channel(self):
        try:
            channel = self._finish(*self._exchange(b"\x00\x70\x00\x00\x01"))[0]
        except (CardError, IndexError):
            return 0
        if channel > _LAST_CHANNEL:
            self._exchange(bytes((0, 0x70, 0x80, channel)))
            return 0
        return channel

    def select(self):
        """Make it the one that is spoken to."""
        head = bytes((self._channel, 0xA4, 4, 0, len(self._aid)))
        self._finish(*self._exchange(head + self._aid))

    def close(self):
        """Give the channel back."""
        try:
            if self._session is not None:
                self._at.command("+CCHC=%d" % self._session)
            elif self._channel:
                self._exchange(bytes((0, 0x70, 0x80, self._channel)))
        except (AtError, CardError):
            pass  # it is gone, which is what was wanted

    def ask(self, cla, ins, p1, p2, data=b"", length=None, tries=_TRIES):
        """The answer's data. length: Le, for a command without data. Raises CardError, Silent."""
        cla |= self._channel
        head = bytes((cla, ins, p1, p2))
        if data:
            head += bytes((len(data),)) + data
        elif length is not None:
            head += bytes((length,))
        answer, word = self._exchange(head, tries)
        if word[:2] == "6C" and not data:
            answer, word = self._exchange(head[:4] + bytes((int(word[2:], 16),)), tries)
        return self._finish(answer, word)

    def _has(self, question):
        try:
            self._at.command(question, info="")
        except AtError:
            return False
        return True

    def _finish(self, data, word):
        for _ in range(_PARTS):
            if word[:2] != "61":
                break
            more, word = self._exchange(bytes((self._channel, 0xC0, 0, 0, int(word[2:], 16))))
            data += more
        if word not in ("9000", "6310"):
            raise CardError(word)
        self.more = word == "6310"
        return data

    def _exchange(self, apdu, tries=_TRIES):
        """(data, status word) of one command."""
        digits = hexlify(apdu).decode().upper()
        for left in range(tries - 1, -1, -1):
            try:
                return self._once(digits)
            except (AtError, ValueError, IndexError):
                if not left:
                    raise CardError("0000") from None
        return b"", ""

    def _once(self, digits):
        if self._session is not None:
            text = '+CGLA=%d,%d,"%s"' % (self._session, len(digits), digits)
            line = self._at.ask(text, "+CGLA:", _LIMIT_MS)[-1]
        else:
            line = self._at.ask('+CSIM=%d,"%s"' % (len(digits), digits), "+CSIM:", _LIMIT_MS)[-1]
        count, answer = line.split(",")
        answer = answer.strip().strip('"')  # some modems quote it, some do not
        if int(count) != len(answer) or len(answer) < 4:
            raise ValueError("an answer of another length")
        return unhexlify(answer[:-4]), answer[-4:].upper()
