"""What a gateway does for each record, against the one thing it cannot do without: the signature.

Bare verification is `cryptography`'s Ed25519 on the same signatures in the same process.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.figure import Figure
from tallystick import chain, merkle, record
from tallystick.body import Channel, Open, Readings
from tallystick.keys import PrivateKey

RECORDS = 2_000
ROUNDS = 3
ONE_READING_BAR = 0.70  # of bare verification
READINGS = 60
READINGS_BAR = 30.0  # readings for each bare verification


def chain_of(key: PrivateKey, records: int, readings: int) -> list[bytes]:
    """A board's records: an open, then records of `readings` readings of two channels."""
    channels = (Channel("temp", "Cel", -2), Channel("hum", "%RH", -2))
    opened = Open(1, "1.0.0", bytes(16), 2, None, channels, 1000)
    raws = [record.sign(key, 0, record.genesis(key.public), 1_795_242_134, opened)]
    for seq in range(1, records):
        column = tuple(2_000 + (i * 7) % 23 for i in range(readings))
        body = Readings(0, 10 if readings > 1 else 0, (column, column))
        prev = record.parse(raws[-1]).id
        raws.append(record.sign(key, seq, prev, 1_795_242_134 + seq, body))
    return raws


def best_s(work: Callable[[], None]) -> float:
    """Seconds of the fastest of some rounds: the one that was disturbed least."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def bare_s(key: PrivateKey, raws: list[bytes]) -> float:
    """Seconds to verify the signatures of `raws` and do nothing else."""
    pairs = [(one.signature, one.signed_bytes) for one in (record.parse(r).signed for r in raws)]
    verify = key.public.verify

    def work() -> None:
        for signature, message in pairs:
            verify(signature, message)

    return best_s(work)


def admit_s(key: PrivateKey, raws: list[bytes]) -> float:
    """Seconds for signature, chain and leaf hash, from bytes as they come."""

    def work() -> None:
        state = chain.Chain(key.public)
        for raw in raws:
            state.admit(record.parse(raw))
            merkle.leaf_hash(raw)

    return best_s(work)


def figures() -> list[Figure]:
    """Signature, chain and leaf of one process, with one and with sixty readings a record."""
    key = PrivateKey.from_seed(bytes(range(32)))
    single = chain_of(key, RECORDS, 1)
    many = chain_of(key, RECORDS, READINGS)
    bare = bare_s(key, single)
    one = bare / admit_s(key, single)
    sixty = READINGS * bare_s(key, many) / admit_s(key, many)
    return [
        Figure.at_least(
            "signature, chain, leaf: 1 reading", round(one, 2), "of bare verify", ONE_READING_BAR
        ),
        Figure.at_least(
            "signature, chain, leaf: 60 readings",
            round(sixty, 1),
            "readings a bare verify",
            READINGS_BAR,
        ),
        Figure("bare verification, here", round(RECORDS / bare), "a second", "", True),
    ]
