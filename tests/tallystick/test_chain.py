"""The rules of a chain (docs/format.md, section 5), each played once as it happens in the field."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tallystick import limits, record
from tallystick.body import EventCode
from tallystick.chain import Chain, Link, Result, key_periods
from tallystick.errors import (
    FormatError,
    KeyUnknownError,
    LimitError,
    LinkError,
    SignatureError,
    TallystickError,
)
from tallystick.record import Record
from tests.world import Device, SimKey, key


class Store:
    """Links that outlive a chain, as a gateway's database does."""

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}

    def get(self, seq: int) -> Link | None:
        return self.links.get(seq)

    def add(self, seq: int, link: Link) -> None:
        self.links[seq] = link


def board(readings: int = 3) -> tuple[Device, Chain]:
    """A device that sent an open and `readings` records, and the chain that admitted them."""
    device = Device()
    device.open()
    for _ in range(readings):
        device.readings()
    chain = Chain(device.first)
    assert [Result.ADMITTED] * (readings + 1) == [chain.admit(r).result for r in device.records]
    return device, chain


def results(chain: Chain, records: Sequence[Record]) -> list[Result]:
    return [chain.admit(one).result for one in records]


# ---- duplicates and twins


def test_nothing_yet() -> None:
    """An acknowledgement would name a record that is not there, and boards would delete theirs."""
    chain = Chain(key("device").public)
    assert chain.upto is None
    assert [] == chain.missing


def test_a_record_again_is_a_duplicate() -> None:
    """QoS 1 delivers twice: every board would be branded a clone."""
    device, chain = board()
    assert [Result.DUPLICATE] * 4 == results(chain, device.records)
    assert [] == chain.forks
    assert 3 == chain.upto


def test_a_twin_is_a_duplicate() -> None:
    """A SIM signs the same content differently each time: a resend would look like a fork."""
    device = Device(SimKey("sim"))
    first = device.open()
    twin = device.clone()
    twin.seq, twin.prev, twin.time = 0, first.prev, first.time
    second = twin.open()
    assert first.raw != second.raw
    assert first.id == second.id
    chain = Chain(device.first)
    assert [Result.ADMITTED, Result.DUPLICATE] == results(chain, [first, second])
    assert [] == chain.forks


def test_a_twin_needs_a_signature_of_its_own() -> None:
    """Anyone could store garbage as a second evidence for a record."""
    device, chain = board()
    raw = bytearray(device.records[2].raw)
    raw[-1] ^= 1
    forged = record.parse(bytes(raw))
    assert device.records[2].id == forged.id
    with pytest.raises(SignatureError):
        chain.admit(forged)


# ---- keys


def test_a_strangers_record_is_refused() -> None:
    """Anyone could write into this device's chain, or brand it with a fork."""
    _, chain = board()
    stranger = Device(key("stranger"))
    before = chain.dump()
    with pytest.raises(KeyUnknownError, match=r"^chain\.unknown-key"):
        chain.admit(stranger.open())
    assert before == chain.dump()


def test_a_changed_record_is_refused() -> None:
    """A reading changed on its way would be admitted."""
    device, chain = board(1)
    made = device.readings([215])
    raw = made.raw.replace(b"\x18\xd7", b"\x18\xd8")
    assert raw != made.raw
    with pytest.raises(SignatureError, match=r"^signature\.wrong"):
        chain.admit(record.parse(raw))
    assert Result.ADMITTED is chain.admit(made).result


# ---- genesis


@pytest.mark.parametrize("what", ["prev", "kind"])
def test_genesis_is_bound_to_the_key(what: str) -> None:
    """A chain could be spliced onto another start, or begin without saying what it measures."""
    device = Device()
    other = Device(key("other"))
    made = device.open(prev=other.prev) if what == "prev" else device.beacon()
    with pytest.raises(LinkError, match=r"^chain\.genesis"):
        Chain(device.first).admit(made)


def test_genesis_of_another_device() -> None:
    """Device B's records would count for device A."""
    device, other = Device(), Device(key("other"))
    with pytest.raises(KeyUnknownError):
        Chain(device.first).admit(other.open())


def test_genesis_is_signed_by_the_first_key() -> None:
    """Who holds a later key could rewrite how the chain began."""
    device, chain = board(1)
    new = key("second")
    device.rotate(new)
    device.open()
    results(chain, device.records[-2:])
    late = Device()
    with pytest.raises(LinkError, match=r"^chain\.key"):
        chain.admit(late.open(signer=new))


# ---- forks


def test_fork_two_records_with_one_seq() -> None:
    """A cloned key would go unseen."""
    device, chain = board(2)
    clone = device.clone()
    first, second = device.readings([1]), clone.readings([2])
    assert Result.ADMITTED is chain.admit(first).result
    finding = chain.admit(second)
    assert Result.FORK is finding.result
    assert first.id == finding.other
    (fork,) = chain.forks
    assert (3, device.first.kid, first.id, second.id) == (
        fork.seq,
        fork.kid,
        fork.first,
        fork.second,
    )
    # earlier records keep their standing, both branches from there on lose it
    assert chain.fork_of(device.records[2]) is None
    assert chain.fork_of(first) is not None
    assert chain.fork_of(second) is not None


def test_fork_the_next_record_continues_another() -> None:
    """A clone that is one record ahead would be taken for the board itself."""
    device, chain = board(2)
    clone = device.clone()
    lost = clone.readings([2])
    ahead = clone.readings([2])
    assert Result.ADMITTED is chain.admit(device.readings([1])).result
    finding = chain.admit(ahead)
    assert (Result.FORK, 3) == (finding.result, chain.forks[0].seq)
    assert lost.id == ahead.prev


def test_fork_found_when_the_gap_is_filled() -> None:
    """A clone that jumps ahead would be believed, since nothing stands before it."""
    device, chain = board(1)
    clone = device.clone()
    clone.readings([2])
    ahead = clone.readings([3])
    assert Result.ADMITTED is chain.admit(ahead).result
    assert Result.FORK is chain.admit(device.readings([1])).result
    assert [2] == [fork.seq for fork in chain.forks]


def test_after_a_fork_the_first_branch_stays() -> None:
    """Whoever forks a chain could choose what it says."""
    device, chain = board(1)
    clone = device.clone()
    honest = [device.readings([i]) for i in range(3)]
    thief = [clone.readings([-i - 5]) for i in range(3)]
    assert [Result.ADMITTED] * 3 == results(chain, honest)
    assert [Result.FORK] * 3 == results(chain, thief)
    assert [one.id for one in honest] == [
        link.id for s in (2, 3, 4) if (link := chain.links.get(s))
    ]


def test_a_rotation_ends_a_fork() -> None:
    """A board with a new key could never be trusted again."""
    device, chain = board(1)
    clone = device.clone()
    results(chain, [device.readings([1]), clone.readings([2])])
    device.rotate(key("second"))
    opened = device.open()
    assert [Result.ADMITTED] * 2 == results(chain, device.records[-2:])
    assert chain.fork_of(opened) is None
    assert chain.fork_of(device.records[-2]) is not None


def test_forks_of_one_key_do_not_push_out_those_of_another() -> None:
    """A thief with the old key could make 16 forks and so wash the fork of the new one."""
    device, chain = board(20)
    old = device.clone()
    device.rotate(key("second"))
    device.open()
    assert [Result.ADMITTED] * 2 == results(chain, device.records[-2:])
    clone = device.clone()
    mine, theirs = device.readings([1]), clone.readings([2])
    assert [Result.ADMITTED, Result.FORK] == results(chain, [mine, theirs])
    for seq in range(1, 20):
        forged = old.readings([seq], seq=seq, prev=bytes(32), boot=0)
        assert Result.FORK is chain.admit(forged).result
    assert chain.fork_of(mine) is not None
    assert limits.MISSING_RANGES + 1 == len(chain.forks)


# ---- rotation


def test_rotation() -> None:
    """A board could not change its key."""
    device, chain = board()
    rotate = device.rotate(key("second"))
    opened = device.open()
    reading = device.readings()
    assert [Result.ADMITTED] * 3 == results(chain, [rotate, opened, reading])
    assert key("second").public == chain.key_at(opened.seq)
    assert device.first == chain.key_at(rotate.seq)


@pytest.mark.parametrize("by", ["nobody", "old key", "other device"])
def test_rotation_needs_the_new_keys_word(by: str) -> None:
    """A board could claim somebody else's key as its own."""
    device, chain = board()
    new = key("second")
    message = record.possession_bytes(
        bytes(8) if by == "other device" else device.id,
        device.seq,
        device.prev,
        device.time,
        new.public,
    )
    words = {
        "nobody": bytes(64),
        "old key": device.signer.sign(message),
        "other device": new.sign(message),
    }
    rotate = device.rotate(new, possession=words[by])
    with pytest.raises(SignatureError, match=r"^chain\.possession"):
        chain.admit(rotate)
    assert device.first == chain.key_at(rotate.seq + 1)


def test_after_a_rotation_comes_an_open() -> None:
    """Readings of the new key would have no channels of their own."""
    device, chain = board()
    results(chain, [device.rotate(key("second"))])
    with pytest.raises(LinkError, match=r"^chain\.rotate"):
        chain.admit(device.readings())


def test_rotation_back_to_a_key_of_before() -> None:
    """A key that was given up, perhaps stolen, would come into force again."""
    device, chain = board()
    results(chain, [device.rotate(key("second")), device.open()])
    with pytest.raises(LinkError, match=r"^chain\.rotate"):
        chain.admit(device.rotate(key("device")))


def test_the_new_key_before_its_rotation() -> None:
    """A new key could rewrite what the old one said."""
    device, chain = board()
    device.rotate(key("second"))
    results(chain, device.records[-1:])
    forged = device.clone().readings(seq=2, prev=device.records[1].id, boot=0)
    with pytest.raises(LinkError, match=r"^chain\.key"):
        chain.admit(forged)


@pytest.mark.parametrize("distance", [1, 2, 5])
def test_a_replaced_key_forks(distance: int) -> None:
    """Who finds the old key could go on with it."""
    device, chain = board()
    old = device.clone()
    rotate = device.rotate(key("second"))
    results(chain, [rotate, device.open(), device.readings()])
    late = old.readings(seq=rotate.seq + distance, prev=bytes(32), boot=0)
    assert Result.FORK is chain.admit(late).result
    (fork,) = chain.forks
    assert device.first.kid == fork.kid
    assert chain.fork_of(device.records[-1]) is None
    assert chain.fork_of(late) is not None


def test_a_replaced_key_cannot_brand_the_new_one() -> None:
    """Who holds the old key runs ahead before the rotation arrives: the new key would be called
    cloned as soon as it gets there, and the device would have to rotate again.
    """
    device, chain = board(1)
    old = device.clone()
    ahead = old.readings([9], seq=device.seq + 3, prev=bytes(32), boot=0)
    assert Result.ADMITTED is chain.admit(ahead).result
    device.rotate(key("second"))
    device.open()
    device.readings()
    new = device.readings()
    results(chain, device.records[-4:-1])
    assert Result.FORK is chain.admit(new).result
    assert {device.first.kid} == {fork.kid for fork in chain.forks}
    assert chain.fork_of(ahead) is not None
    assert chain.fork_of(new) is None


def test_a_replaced_keys_record_that_came_first_is_untrusted() -> None:
    """The order of arrival would decide whether a thief's record is believed."""
    device, chain = board(1)
    old = device.clone()
    ahead = old.readings([9], seq=device.seq + 5, prev=bytes(32), boot=0)
    results(chain, [ahead, device.rotate(key("second")), device.open()])
    assert chain.fork_of(ahead) is not None


def test_the_next_record_by_the_old_key_forks_when_the_rotation_arrives_late() -> None:
    """A rotation that is delivered out of order would hide that the old key went on."""
    device, chain = board(1)
    old = device.clone()
    rotate = device.rotate(key("second"))
    after = old.readings(seq=rotate.seq + 1, prev=rotate.id, boot=0)
    assert [Result.ADMITTED, Result.ADMITTED] == results(chain, [after, rotate])
    assert [(rotate.seq + 1, device.first.kid)] == [(f.seq, f.kid) for f in chain.forks]


def test_key_periods_walk() -> None:
    """A proof under the third key could not be checked."""
    device, _ = board()
    one = device.rotate(key("second"))
    device.open()
    two = device.rotate(SimKey("third"))
    periods = key_periods(device.first, [one, two])
    assert [(0, -19), (one.seq + 1, -19), (two.seq + 1, -9)] == [
        (period.start, period.key.alg) for period in periods
    ]
    with pytest.raises(LinkError, match=r"^chain\.rotate"):
        key_periods(device.first, [device.records[0]])
    with pytest.raises(SignatureError):
        key_periods(device.first, [two])


def test_key_periods_out_of_order() -> None:
    """Two rotations at one place would both count."""
    device, _ = board()
    other = device.clone()
    one, two = device.rotate(key("second")), other.rotate(key("third"))
    with pytest.raises(LinkError, match=r"^chain\.rotate"):
        key_periods(device.first, [one, two])


# ---- gaps


def test_gap() -> None:
    """A lost record would not be asked for again."""
    device, chain = board(1)
    lost = [device.readings() for _ in range(3)]
    assert Result.ADMITTED is chain.admit(device.readings()).result
    assert ([range(2, 5)], 1) == (chain.missing, chain.upto)
    assert Result.ADMITTED is chain.admit(lost[1]).result
    assert [range(2, 3), range(4, 5)] == chain.missing
    assert [Result.ADMITTED] * 2 == results(chain, [lost[2], lost[0]])
    assert ([], 5) == (chain.missing, chain.upto)


@pytest.mark.parametrize("code", [EventCode.DROPPED, EventCode.PRUNED])
def test_an_event_gives_up_a_gap(code: EventCode) -> None:
    """A board that lost records would be asked for them for ever, and never be acknowledged."""
    device, chain = board(1)
    lost = [device.readings() for _ in range(3)]
    event = device.event(code, 2, 4)
    assert Result.ADMITTED is chain.admit(event).result
    assert ([], [range(2, 5)], 5) == (chain.missing, chain.given_up, chain.upto)
    # what turns up after all is welcome
    assert Result.ADMITTED is chain.admit(lost[1]).result
    assert [range(2, 3), range(4, 5)] == chain.given_up
    assert [] == chain.forks


def test_an_event_gives_up_only_what_it_names() -> None:
    """A gap that nobody explains would be hidden by one that somebody does."""
    device, chain = board(1)
    for _ in range(3):
        device.readings()
    chain.admit(device.event(EventCode.DROPPED, 3, 3))
    assert ([range(2, 3), range(4, 5)], [range(3, 4)], 1) == (
        chain.missing,
        chain.given_up,
        chain.upto,
    )


def test_upto_names_a_record_that_is_there() -> None:
    """An acknowledgement has the id of record `upto`: one that was given up has none."""
    device, chain = board(1)
    for _ in range(4):
        device.readings()
    chain.admit(device.event(EventCode.DROPPED, 2, 4))
    assert ([range(5, 6)], 1) == (chain.missing, chain.upto)


@pytest.mark.parametrize(("first", "last"), [(5, 5), (5, 9), (4, 3)])
def test_an_event_cannot_give_up_what_is_to_come(first: int, last: int) -> None:
    """A thief with one record could make the gateway stop asking for all later ones."""
    device, _ = board(4)
    assert 5 == device.seq
    with pytest.raises(FormatError, match=r"^record\.event"):
        device.event(EventCode.DROPPED, first, last)


def test_more_gaps_than_a_chain_may_have() -> None:
    """One stolen key could fill a gateway's memory."""
    device = Device()
    device.open()
    chain = Chain(device.first)
    chain.missing = [range(i, i + 1) for i in range(1, 2 * limits.CHAIN_RANGES, 2)]
    chain.top = 2 * limits.CHAIN_RANGES
    ahead = device.readings(seq=chain.top + 5, prev=bytes(32), boot=0)
    with pytest.raises(LimitError, match=r"^chain\.ranges"):
        chain.admit(ahead)
    assert 2 * limits.CHAIN_RANGES == chain.top


# ---- adoption


def restored() -> tuple[Chain, Record, list[Record], Device]:
    """A board that lost its head at seq 4 after the gateway had acknowledged 3."""
    device, chain = board(3)
    left = device.clone()
    branch = [left.readings([i]) for i in range(4)]
    adopted = device.adopt(3, device.records[3].id)
    assert Result.ADMITTED is chain.admit(adopted).result
    return chain, adopted, branch, device


def test_adoption() -> None:
    """A board whose storage was lost could never go on."""
    chain, adopted, _, device = restored()
    assert 3 == adopted.adopts()
    assert Result.ADMITTED is chain.admit(device.open()).result
    assert 5 == chain.upto


def test_what_an_adoption_left_behind_is_disowned() -> None:
    """A board that lost its storage would be branded a clone by its own old messages."""
    chain, _, branch, _ = restored()
    assert [Result.DISOWNED] * 4 == results(chain, branch)
    assert [] == chain.forks
    assert [Result.DUPLICATE] * 4 == results(chain, branch)


def test_disowned_though_the_one_before_never_arrives() -> None:
    """The old branch's first record is lost: the next ones would brand the board."""
    chain, _, branch, _ = restored()
    assert [Result.DISOWNED] * 3 == results(chain, branch[1:])
    assert [] == chain.forks


def test_disowned_though_the_board_went_on() -> None:
    """The same, when the chain has grown meanwhile."""
    chain, _, branch, device = restored()
    results(chain, [device.open(), device.readings()])
    assert [Result.DISOWNED] * 4 == results(chain, branch)
    assert [] == chain.forks


def test_a_second_adopted_is_a_fork() -> None:
    """Two boards with one key could both adopt the chain, unseen."""
    chain, _, _, device = restored()
    clone = device.clone()
    clone.time += 5
    second = clone.adopt(3, device.records[3].id)
    assert Result.FORK is chain.admit(second).result


def test_adopted_where_a_record_stands_is_a_fork() -> None:
    """A clone could replace records that the gateway holds already."""
    device, chain = board(3)
    clone = device.clone()
    assert Result.FORK is chain.admit(clone.adopt(1, device.records[1].id)).result


def test_adopted_that_continues_another_record_is_a_fork() -> None:
    """A clone could adopt a history that never was."""
    device, chain = board(3)
    clone = device.clone()
    assert Result.FORK is chain.admit(clone.adopt(3, bytes(32))).result


def test_disowned_records_are_bounded() -> None:
    """One stolen key could fill a gateway's memory with disowned records."""
    chain, _, branch, _ = restored()
    chain.disowned = {i.to_bytes(32, "big") for i in range(limits.CHAIN_RANGES)}
    with pytest.raises(LimitError, match=r"^chain\.ranges"):
        chain.admit(branch[0])


# ---- a verifier's part of a chain


def test_a_part_of_a_chain() -> None:
    """A proof of a few records would need all of them."""
    device, _ = board(5)
    chain = Chain(device.first, start=3)
    assert [Result.ADMITTED] * 3 == results(chain, device.records[3:])
    assert 5 == chain.upto
    with pytest.raises(LinkError, match=r"^chain\.before-start"):
        chain.admit(device.records[2])


# ---- properties


def honest(plan: Sequence[str]) -> Device:
    """A board that did what `plan` says."""
    device = Device()
    device.open()
    for step in plan:
        if step == "rotate":
            device.rotate(key(f"key {device.seq}"))
            device.open()
        elif step == "open":
            device.open()
        elif step == "event":
            device.event(EventCode.TAMPER, 0, 1)
        else:
            device.readings()
    return device


PLANS = st.lists(st.sampled_from(["readings", "readings", "open", "event", "rotate"]), max_size=10)


def deliver(chain: Chain, records: Sequence[Record]) -> None:
    """In this order, and again what was refused for a key not known yet, as a board does."""
    for _ in range(len(records)):
        refused = []
        for one in records:
            try:
                chain.admit(one)
            except KeyUnknownError:
                refused.append(one)
        if not refused:
            return
        records = refused


@settings(max_examples=60, deadline=None)
@given(PLANS, st.randoms(use_true_random=False))
def test_any_order_with_duplicates(plan: list[str], chance: random.Random) -> None:
    """A network that delivers twice and out of order would leave gaps, or brand an honest board."""
    device = honest(plan)
    records = [*device.records, *chance.sample(device.records, len(device.records) // 2)]
    chance.shuffle(records)
    chain = Chain(device.first)
    deliver(chain, records)
    assert ([], [], len(device.records) - 1) == (chain.missing, chain.forks, chain.upto)
    assert chain.top == chain.upto


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 12), st.data())
def test_what_is_left_out_is_missing(size: int, data: st.DataObject) -> None:
    """A record that was suppressed would go unnoticed."""
    device = honest(["readings"] * size)
    gone = data.draw(st.sets(st.integers(1, size - 1), min_size=1))
    chain = Chain(device.first)
    results(chain, [one for one in device.records if one.seq not in gone])
    assert gone == {seq for hole in chain.missing for seq in hole}
    assert min(gone) - 1 == chain.upto


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10), st.data())
def test_any_second_record_at_a_seq_is_a_fork(size: int, data: st.DataObject) -> None:
    """A clone could speak at some places of the chain without being seen."""
    device = honest(["readings"] * size)
    seq = data.draw(st.integers(1, size))
    clone = device.clone()
    second = clone.readings(
        [data.draw(st.integers(-(2**40), 2**40).filter(lambda v: v != 215))],
        seq=seq,
        prev=device.records[seq].prev,
        boot=0,
    )
    chain = Chain(device.first)
    results(chain, device.records)
    assert Result.FORK is chain.admit(second).result
    kept = chain.links.get(seq)
    assert kept is not None
    assert device.records[seq].id == kept.id
    assert [seq] == [fork.seq for fork in chain.forks]


@settings(max_examples=40, deadline=None)
@given(PLANS, st.randoms(use_true_random=False))
def test_a_restart_changes_nothing(plan: list[str], chance: random.Random) -> None:
    """A gateway that is restarted would judge differently from one that was not."""
    device = honest(plan)
    clone = device.clone()
    clone.seq, clone.prev = chance.randrange(1, device.seq + 1), device.records[0].id
    records = [*device.records, clone.readings([-1], boot=0), device.clone().readings([-2])]
    chance.shuffle(records)
    one, store = Chain(device.first), Store()
    two = Chain(device.first, store)
    for made in records:
        two = Chain.load(two.dump(), store)
        assert _said(one, made) == _said(two, made)
        assert one.dump() == two.dump()
        newest = two.periods[-1].key.kid
        forked = min((fork.seq for fork in two.forks if fork.kid == newest), default=None)
        head = two.top if two.top >= two.start else None
        assert (head, tuple(two.missing), forked) == Chain.outline(two.dump())
        assert (one.upto, one.device) == (two.upto, two.device)


def _said(chain: Chain, made: Record) -> object:
    try:
        return chain.admit(made)
    except TallystickError as error:
        return error.code


@pytest.mark.parametrize("state", [b"\x80", b"\x01", b"\x88" + b"\xf6" * 8, b"\x88" + b"\x80" * 8])
def test_a_broken_state_is_refused(state: bytes) -> None:
    """A damaged database would end in a traceback of Python's, not in an error of ours."""
    with pytest.raises(FormatError, match=r"^chain\.state"):
        Chain.load(state, Store())
