"""Every rule about statements, and every way to break it (docs/format.md, section 9)."""

from __future__ import annotations

from typing import Any

import pytest

from tallystick import credential, did, statement
from tallystick.keys import PrivateKey
from tallystick.limits import ACCEPT_WITHIN_S
from tallystick.statement import Effect, History, Status
from tallystick.statement import StatementKind as Say
from tests.world import START, World, key


def name(who: str) -> bytes:
    return did.did_key(key(who).public).encode()


class Life:
    """A device's statements, one after the other."""

    def __init__(self, *, registered: bool = True) -> None:
        world = World()
        self.device, self.ledger = world.device.did, world.ledger.id
        self.history = History(self.device, self.ledger, [key("issuer").public])
        self.time = START
        if registered:
            assert self.say("issuer", Say.REGISTERED, name("owner")).took

    def say(self, who: str | PrivateKey, kind: Say, *args: bytes, **changes: Any) -> Effect:
        last = self.history.last
        raw = statement.sign(
            key(who) if isinstance(who, str) else who,
            changes.get("device", self.device),
            changes.get("ledger", self.ledger),
            changes.get("previous", last.id if last else None),
            kind,
            args,
        )
        self.time += changes.get("after", 60)
        return self.history.apply(statement.parse(raw), len(self.history.effects), self.time)


def inspector(who: str = "inspector", by: str = "issuer", **changes: Any) -> bytes:
    said = {"role": "inspector", "expires": START + 10**6, **changes}
    issuer = did.did_key(key("issuer").public)
    return credential.sign(key(by), issuer, name(who).decode(), START, **said)


RIGHTS = {
    Say.SUSPENDED: {"issuer"},
    Say.TRANSFERRED: {"owner"},
    Say.STOLEN: {"owner", "issuer"},
    Say.RETIRED: {"owner", "issuer"},
    Say.REPLACED: {"issuer"},
    Say.REGISTERED: set(),
    Say.ACCEPTED: set(),
    Say.RESUMED: set(),
    Say.RECOVERED: set(),
    Say.INSPECTED: set(),
}
ARGS = {
    Say.SUSPENDED: (b"recall",),
    Say.TRANSFERRED: (name("buyer"),),
    Say.REPLACED: (name("new"),),
    Say.REGISTERED: (name("thief"),),
    Say.INSPECTED: (b"good", inspector("somebody else")),
}


@pytest.mark.parametrize("who", ["issuer", "owner", "buyer", "stranger", "device"])
@pytest.mark.parametrize("kind", Say)
def test_who_may_say_what_of_an_active_device(kind: Say, who: str) -> None:
    """Who has no right could bar, free or take a device."""
    life = Life()
    effect = life.say(who, kind, *ARGS.get(kind, ()))
    assert (who in RIGHTS[kind]) == effect.took, effect.detail
    assert effect.took or Status.ACTIVE is life.history.status


@pytest.mark.parametrize("who", ["owner", "stranger", "device"])
def test_only_the_issuer_registers(who: str) -> None:
    """Anyone could make himself the owner."""
    life = Life(registered=False)
    assert not life.say(who, Say.REGISTERED, name(who)).took
    assert not life.say("issuer", Say.STOLEN).took
    assert Status.UNKNOWN is life.history.status
    assert life.say("issuer", Say.REGISTERED, name("owner")).took


@pytest.mark.parametrize(
    "changes",
    [
        {"device": name("other").decode()},
        {"ledger": bytes(8)},
        {"previous": None},
        {"previous": bytes(32)},
    ],
)
def test_forged_replayed_or_out_of_order(changes: dict[str, Any]) -> None:
    """A statement about one device, or of another time, would count here and now."""
    life = Life()
    assert not life.say("owner", Say.STOLEN, **changes).took
    assert Status.ACTIVE is life.history.status


def test_twice() -> None:
    """`stolen` could be replayed after the device was found."""
    life = Life()
    stolen = life.say("owner", Say.STOLEN)
    again = life.history.apply(stolen.statement, 7, life.time)
    assert not again.took
    assert life.say("owner", Say.RECOVERED).took
    assert not life.history.apply(stolen.statement, 8, life.time).took
    assert Status.ACTIVE is life.history.status


def test_two_at_one_place() -> None:
    """Two new owners could be named by one old one."""
    life = Life()
    last = life.history.last
    assert last is not None
    assert life.say("owner", Say.TRANSFERRED, name("buyer")).took
    assert not life.say("owner", Say.TRANSFERRED, name("other"), previous=last.id).took


def test_a_changed_statement() -> None:
    """A statement could be rewritten after it was signed."""
    life = Life()
    last = life.history.last
    assert last is not None
    raw = bytearray(statement.sign(key("owner"), life.device, life.ledger, last.id, Say.STOLEN))
    raw[-1] ^= 1
    assert not life.history.apply(statement.parse(bytes(raw)), 5, life.time).took


@pytest.mark.parametrize(
    ("after", "takes"), [(ACCEPT_WITHIN_S, True), (ACCEPT_WITHIN_S + 1, False)]
)
def test_accepted_within_30_days(after: int, takes: bool) -> None:
    """An offer that was forgotten could be taken up years later."""
    life = Life()
    assert life.say("owner", Say.TRANSFERRED, name("buyer")).took
    assert takes is life.say("buyer", Say.ACCEPTED, after=after).took
    assert (name("buyer") if takes else name("owner")).decode() == life.history.owner


@pytest.mark.parametrize("who", ["owner", "issuer", "stranger"])
def test_only_the_new_owner_accepts(who: str) -> None:
    """A device could be given to somebody who never agreed."""
    life = Life()
    life.say("owner", Say.TRANSFERRED, name("buyer"))
    assert not life.say(who, Say.ACCEPTED).took
    assert name("owner").decode() == life.history.owner


def test_accepted_right_after_transferred() -> None:
    """An offer would stay open though the owner has said something else since."""
    life = Life()
    life.say("owner", Say.TRANSFERRED, name("buyer"))
    assert life.say("owner", Say.STOLEN).took
    assert not life.say("buyer", Say.ACCEPTED).took


def test_the_old_owner_has_no_say() -> None:
    """Who sold a device could have it barred."""
    life = Life()
    life.say("owner", Say.TRANSFERRED, name("buyer"))
    assert life.say("buyer", Say.ACCEPTED).took
    assert not life.say("owner", Say.STOLEN).took
    assert life.say("buyer", Say.STOLEN).took


@pytest.mark.parametrize(
    ("before", "after"), [(Say.SUSPENDED, Say.RECOVERED), (Say.STOLEN, Say.RESUMED)]
)
def test_resumed_and_recovered_undo_their_own(before: Say, after: Say) -> None:
    """A suspension could be ended by whoever may say that a device was found."""
    life = Life()
    life.say("issuer", before, *ARGS.get(before, ()))
    assert not life.say("issuer", after).took


@pytest.mark.parametrize("end", [Say.RETIRED, Say.REPLACED])
def test_nothing_after_the_end(end: Say) -> None:
    """A device that was scrapped could come back."""
    life = Life()
    assert life.say("issuer", end, *ARGS.get(end, ())).took
    for kind in Say:
        assert not life.say("issuer", kind, *ARGS.get(kind, ())).took
    assert Status.RETIRED is life.history.status


@pytest.mark.parametrize(
    ("who", "given", "takes"),
    [
        ("inspector", inspector(), True),
        ("stranger", inspector(), False),
        ("inspector", inspector(by="stranger"), False),
        ("inspector", inspector(role=None), False),
        ("inspector", inspector(expires=START), False),
        ("inspector", b"no credential", False),
    ],
)
def test_inspected(who: str, given: bytes, takes: bool) -> None:
    """Anyone could inspect a device, or an inspector long after his time."""
    life = Life()
    assert takes is life.say(who, Say.INSPECTED, b"good", given).took
    assert Status.ACTIVE is life.history.status


def test_without_an_issuer_nothing_takes_effect() -> None:
    """A verifier who trusts nobody would believe somebody."""
    life = Life(registered=False)
    life.history = History(life.device, life.ledger, [])
    assert not life.say("issuer", Say.REGISTERED, name("owner")).took


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ([], Status.ACTIVE),
        ([Say.SUSPENDED], Status.SUSPENDED),
        ([Say.SUSPENDED, Say.STOLEN], Status.SUSPENDED),
        ([Say.SUSPENDED, Say.RESUMED], Status.ACTIVE),
    ],
)
def test_recovered_is_as_before_the_theft(said: list[Say], status: Status) -> None:
    """A theft, or a second report of it, would wipe out a suspension, or make one."""
    life = Life()
    for kind in said:
        assert life.say("issuer", kind, *ARGS.get(kind, ())).took
    assert life.say("owner", Say.STOLEN).took
    assert life.say("owner", Say.RECOVERED).took
    assert status is life.history.status


# kind -> what makes it possible, who has the right to it, what it says
RIGHTFUL: dict[Say, tuple[list[tuple[str, Say, tuple[bytes, ...]]], str, tuple[bytes, ...]]] = {
    Say.REGISTERED: ([], "issuer", (name("owner"),)),
    Say.TRANSFERRED: ([], "owner", (name("buyer"),)),
    Say.ACCEPTED: ([("owner", Say.TRANSFERRED, (name("buyer"),))], "buyer", ()),
    Say.SUSPENDED: ([], "issuer", (b"recall",)),
    Say.RESUMED: ([("issuer", Say.SUSPENDED, (b"recall",))], "issuer", ()),
    Say.STOLEN: ([], "owner", ()),
    Say.RECOVERED: ([("owner", Say.STOLEN, ())], "owner", ()),
    Say.INSPECTED: ([], "inspector", (b"good", inspector())),
    Say.REPLACED: ([], "issuer", (name("new"),)),
    Say.RETIRED: ([], "owner", ()),
}


def prepared(kind: Say) -> Life:
    """A device of which `kind` can be said."""
    life = Life(registered=kind is not Say.REGISTERED)
    for who, before, args in RIGHTFUL[kind][0]:
        assert life.say(who, before, *args).took
    return life


def standing(life: Life) -> tuple[Status, str | None]:
    return life.history.status, life.history.owner


@pytest.mark.parametrize(
    "attempt",
    ["forged", "another device", "another ledger", "out of order", "unlinked", "stranger"],
)
@pytest.mark.parametrize("kind", Say)
def test_every_kind_against_every_attempt(kind: Say, attempt: str) -> None:
    """One kind of statement would be the hole in the fence: forged, replayed from elsewhere, out of order, by the
    wrong party."""
    life = prepared(kind)
    _, who, args = RIGHTFUL[kind]
    last = life.history.last
    before = standing(life)
    said: dict[str, Any] = {
        "device": life.device,
        "ledger": life.ledger,
        "previous": last.id if last else None,
    }
    changes: dict[str, dict[str, Any]] = {
        "another device": {"device": name("other").decode()},
        "another ledger": {"ledger": b"elsewher"},
        "out of order": {"previous": b"x" * 32},
        "unlinked": {"previous": None if last else b"y" * 32},
    }
    said |= changes.get(attempt, {})
    signer = key("stranger" if attempt == "stranger" else who)
    raw = bytearray(
        statement.sign(signer, said["device"], said["ledger"], said["previous"], kind, args)
    )
    if attempt == "forged":
        raw[-7] ^= 4
    effect = life.history.apply(statement.parse(bytes(raw)), len(life.history.effects), life.time)
    assert not effect.took
    assert effect.detail
    assert before == standing(life)
    # it does not stand in the way of the real one either
    assert life.say(who, kind, *args).took


@pytest.mark.parametrize("kind", Say)
def test_every_kind_twice(kind: Say) -> None:
    """What was said once could be said again by whoever recorded it: at once, or when things stand otherwise."""
    life = prepared(kind)
    _, who, args = RIGHTFUL[kind]
    effect = life.say(who, kind, *args)
    assert effect.took
    after = standing(life)
    assert not life.history.apply(effect.statement, len(life.history.effects), life.time).took
    assert after == standing(life)
    for signer, other in (("issuer", Say.RESUMED), ("owner", Say.RECOVERED), ("buyer", Say.STOLEN)):
        life.say(signer, other)
        now = standing(life)
        assert not life.history.apply(effect.statement, len(life.history.effects), life.time).took
        assert now == standing(life)
