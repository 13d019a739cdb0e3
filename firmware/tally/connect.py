"""How a connection begins: TCP, TLS, CONNECT, subscriptions. Loaded for an attempt, then forgotten.

Rules
* Every wait has an end: looking the broker up is the network stack's own, all else has a deadline here.
* With TLS there is no connection before the clock says something: a certificate has dates.
* CONNECT is ours, not umqtt's, whose older versions know no login and no last will.
"""

import errno
import socket

from micropython import const

from tally import hal, once
from tally.link import PREFIX
from tally.mqtt import Session
from tally.record import CLOCK_UNSET
from tally.stream import TIMEOUT_MS, Stream, Trouble

LEAVES = ("/ack", "/cmd", "/update", "/update/part")  # of its topic, that a board follows
_HANDSHAKE_MS = const(20000)
_REFUSALS = const(
    ("", "the protocol", "the name", "", "the login", "this board")
)  # MQTT 3.1.1, 3.2.2.3


def attempt(config, clock, device, hear):
    """A Session that is connected and has subscribed. device: id as 16 hex digits. Raises Trouble, OSError,
    ValueError."""
    if config["net"] == "modem":
        from modem.inside import attempt as inside

        return inside(config, clock, device, hear)
    if config["broker_tls"] and not _guess(clock):
        raise Trouble("no clock", "no TLS before the clock is set: set ntp_host, or set time")
    session = Session(
        dial(config["broker_host"], config["broker_port"], config["broker_tls"]), hear
    )
    topic = PREFIX + device
    try:
        _greet(session, config, device, topic)
        for leaf in LEAVES:
            session.follow(topic + leaf)
        session.follow(PREFIX + "gateway/+/grant")
        session.say(session.publish, topic + "/state", b"ready", True)
    except Exception:
        session.sock.close()
        raise
    return session


def _guess(clock):
    """Make sure that the dates of a certificate can be judged. False if nothing is known of the time."""
    if hal.unix_time() is not None or hal.rtc_ms() // 1000 >= hal.CLOCK_SET_FROM:
        return True
    if not clock.newest or not once("rtc", "set_time", clock.newest, True):
        return False
    once("rtc", "set_by", clock, CLOCK_UNSET)
    return True


def dial(host, port, secure):
    """A Stream to host:port; TLS as far as it needs no answer. Raises OSError, Trouble."""
    context = None
    if secure:
        from tally.authority import context as verifying

        context = verifying()
    address = socket.getaddrinfo(host, port)[0][-1]
    connected = socket.socket()
    try:
        connected.settimeout(TIMEOUT_MS // 1000)
        connected.connect(address)
        connected.setblocking(False)
        if context is None:
            return Stream(connected)
        wrapped = context.wrap_socket(
            connected, server_hostname=host, do_handshake_on_connect=False
        )
        return Stream(wrapped, connected)
    except (OSError, ValueError):
        connected.close()
        raise


def _shake_hands(stream):
    """Send the first packet, and before it do the handshake of TLS. Raises OSError, Trouble."""
    stream.begin(_HANDSHAKE_MS)
    if stream.under is None:
        stream.flush()
        return
    try:
        stream.flush()
    except ValueError as error:  # mbedtls says what is wrong with the certificate
        from tally.authority import words

        raise Trouble("certificate", "the broker's certificate: %s" % words(error)) from None
    except OSError as error:
        why = error.args[1] if len(error.args) > 1 else "error %s" % error.args[0]
        raise Trouble("certificate", "no TLS with this broker: %s" % why) from None


def _greet(session, config, device, topic):
    """CONNECT, with `lost` as the last will of the topic's state, and its answer."""
    stream = session.sock
    user, password = config["broker_user"], config["broker_password"]
    flags = 0x02 | 0x04 | 0x08 | 0x20  # clean session, will, will QoS 1, will retained
    parts = [device, topic + "/state", "lost"]
    if user is not None:
        flags |= 0x80
        parts.append(user)
        if password is not None:
            flags |= 0x40
            parts.append(password)
    parts = [part.encode() for part in parts]
    length = 10 + sum([2 + len(part) for part in parts])
    head = bytearray(b"\x10")
    if length > 127:
        head.append(length & 127 | 128)
        length >>= 7
    head.append(length)
    head.extend(b"\x00\x04MQTT\x04")
    head.append(flags)
    head.extend(config["keepalive_s"].to_bytes(2, "big"))
    stream.write(head)
    for part in parts:
        stream.write(len(part).to_bytes(2, "big"))
        stream.write(part)
    _shake_hands(stream)
    stream.begin()
    answer = stream.read(4)
    if answer[:2] != b"\x20\x02":
        raise OSError(errno.EINVAL)
    if answer[3]:
        refused = _REFUSALS[answer[3]] if answer[3] < len(_REFUSALS) else ""
        state = "login" if refused else "no broker"
        raise Trouble(state, "the broker refuses %s" % (refused or "for now"))
