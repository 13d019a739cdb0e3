"""Commands to an applet in the SIM card (ISO 7816-4), through the modem.

Rules
* AT+CCHO and AT+CGLA are asked for first, by their exact names: what looks like them (AT+CCHOPEN) is another thing. A
  session of theirs is no channel: the modem puts the channel into CLA, which stays as the applet has it.
* Else AT+CSIM: a logical channel is opened, and its number goes into CLA. Where no channel can be had, the basic one
  is used, and the applet is selected anew before each use.
* 61xx is followed by GET RESPONSE, 6310 by the command's next form, where the applet has one.
* What the modem refuses is tried again: on a weak signal SIM commands fail now and then.
"""

from binascii import hexlify, unhexlify

from micropython import const

from modem.at import AtError

_LIMIT_MS = const(5000)
_TRIES = const(3)


class CardError(Exception):
    """The card said no. args[0]: status word, 4 hex digits; 0000 where the modem said it."""


class Applet:
    """A selected applet. at: of the modem. aid: its name, bytes. block: data bytes of one command, at most."""

    def __init__(self, at, aid, block=64, channels=True):
        self._at = at
        self._aid = aid
        self.block = block
        self._session = None
        self._channel = 0
        if channels and self._has("+CCHO=?"):
            found = at.ask('+CCHO="%s"' % hexlify(aid).decode().upper(), "", _LIMIT_MS)[-1]
            self._session = found.split(":")[-1].strip()
            return
        if not self._has("+CSIM=?"):
            raise CardError("0000")
        if channels:
            try:
                self._channel = self._exchange(b"\x00\x70\x00\x00\x01")[0][0]
            except (CardError, IndexError):
                self._channel = 0
        self.select()

    def select(self):
        """Make it the one that is spoken to."""
        head = bytes((self._channel, 0xA4, 4, 0, len(self._aid)))
        self._finish(*self._exchange(head + self._aid))

    def close(self):
        """Give the channel back."""
        try:
            if self._session is not None:
                self._at.command("+CCHC=%s" % self._session)
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
        return self._finish(*self._exchange(head, tries))

    def _has(self, question):
        try:
            self._at.command(question, info="")
        except AtError:
            return False
        return True

    def _finish(self, data, word):
        while word[:2] == "61":
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
            text = '+CGLA=%s,%d,"%s"' % (self._session, len(digits), digits)
            line = self._at.ask(text, "+CGLA:", _LIMIT_MS)[-1]
        else:
            line = self._at.ask('+CSIM=%d,"%s"' % (len(digits), digits), "+CSIM:", _LIMIT_MS)[-1]
        count, answer = line.split(",")
        answer = answer.strip().strip('"')  # some modems quote it, some do not
        if int(count) != len(answer) or len(answer) < 4:
            raise ValueError("an answer of another length")
        return unhexlify(answer[:-4]), answer[-4:].upper()
