"""The birth of a board's key. Loaded once in a board's life, so that it takes no memory afterwards.

Rules
* The key is made once, with the radio on: without it the ESP32's random numbers are predictable.
* Several sources are hashed together; none of them alone is the key.
* The raw draw must pass the two continuous health tests of SP 800-90B, else there is no key.
* A board that has a key gets no other one.
"""

from hashlib import sha256

from micropython import const

from tally import hal
from tally.keys import ENTRY, KeyFault, load
from tally.uplink import Radio

DRAW_BYTES = const(128)
# SP 800-90B, 4.4 with 4 bits of entropy claimed for a byte and a false alarm in 2^30
REPETITION_CUTOFF = const(9)  # equal bytes in a row
PROPORTION_CUTOFF = const(31)  # bytes equal to the first one, in the whole draw


def noise():
    """Bytes that differ from boot to boot: jitter of the clock against the CPU. Never the only source."""
    out = bytearray()
    for _ in range(32):
        start = hal.ticks_us()
        count = 0
        while hal.ticks_us() == start:
            count += 1
        out.extend(((start ^ (count << 16)) & 0x3FFFFFFF).to_bytes(4, "big"))
    return out


def check_health(draw):
    """Repetition count and adaptive proportion test on raw random bytes; raises KeyFault."""
    run = 0
    longest = 0
    last = -1
    same = 0
    for value in draw:
        run = run + 1 if value == last else 1
        last = value
        longest = max(longest, run)
        same += value == draw[0]
    if longest >= REPETITION_CUTOFF or same >= PROPORTION_CUTOFF:
        raise KeyFault("the random number generator does not pass its health test")


def draw(radio=None):
    """A new key, not kept anywhere: seed and public key, 64 bytes. Raises KeyFault if the randomness is bad."""
    from tally import signer

    try:
        (radio or Radio()).on()
    except OSError:
        raise KeyFault("no key without the radio: its noise feeds the random numbers") from None
    hal.sleep_ms(100)
    raw = hal.urandom(DRAW_BYTES)
    check_health(raw)
    state = sha256(b"tallystick/v1/seed\n")
    for source in (raw, noise(), hal.urandom(64), hal.unique_id(), noise()):
        state.update(len(source).to_bytes(2, "big"))
        state.update(source)
    entry = bytearray(64)
    entry[:32] = state.digest()
    entry[32:] = signer.public(entry[:32])
    signer.forget()
    return entry


def wipe(entry):
    """Overwrite a seed that is not needed here any more."""
    for i in range(32):
        entry[i] = 0


def make(store, radio=None):
    """Make the board's key. Raises KeyFault if there is one already or the randomness is bad."""
    if load(store) is not None:
        raise KeyFault("this board has a key already")
    entry = draw(radio)
    store.set_blob(ENTRY, entry)
    store.commit()
    wipe(entry)
    key = load(store)
    if key is None:
        raise KeyFault("the key did not reach non-volatile storage")
    return key
