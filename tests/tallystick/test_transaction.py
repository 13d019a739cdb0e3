"""An anchor's transaction on another ledger: its bytes, and what is said of it.

If this fails, a verifier takes a transaction for an anchor that it does not carry, or that another account
has sent, or calls one safe that is not.
"""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account as EthAccount
from eth_keys.datatypes import PrivateKey as EthKey
from hypothesis import given
from hypothesis import strategies as some

from tallystick import (
    cbor,
    checkpoint,
    limits,
    merkle,
    milestone,
    policy,
    proof,
    receipt,
    settlement,
    transaction,
    verify,
)
from tallystick.account import Account, State, parse_account
from tallystick.errors import EvidenceError, FormatError, TallystickError
from tallystick.policy import Bridge, Policy
from tallystick.receipt import Receipt
from tallystick.settlement import Executed, Seen
from tallystick.transaction import Later, Transaction
from tallystick.verdict import Outcome, Status, Verdict
from tests import independent_verifier
from tests.tallystick.test_verify import trusted
from tests.world import START, World

CHAIN = 1030
SECRET = bytes(range(1, 33))
KEY = EthKey(SECRET).public_key.to_compressed_bytes()
BLOCK_TIME = START + 777


def send(data: bytes, *, chain: int = CHAIN, secret: bytes = SECRET, **more: object) -> Transaction:
    """A transaction as web3's own signer makes it."""
    key = EthKey(secret)
    fields = {
        "nonce": 3,
        "gasPrice": 20 * 10**9,
        "gas": 23_448,
        "value": 0,
        "chainId": chain,
        "to": key.public_key.to_checksum_address(),
        "data": data,
        **more,
    }
    raw = bytes(EthAccount.sign_transaction(fields, secret).raw_transaction)
    return transaction.signed(raw, key.public_key.to_compressed_bytes())


class Site:
    """A world whose ledger is a bridge: one reading, anchored, and the transaction that carries it."""

    def __init__(self) -> None:
        self.world = World()
        self.world.device.open()
        self.reading = self.world.device.readings([215])
        self.world.publish()
        self.ledger = self.world.ledger
        self.anchor = self.ledger.confirmed(self.world.anchors[-1])
        self.note = checkpoint.parse(self.anchor.block.carried)
        self.sent = send(transaction.calldata(self.note.note.text))
        self.data = self.world.prove([self.reading])

    def policy(self, **changes: Any) -> Policy:
        """Trusts the world's ledger as a bridge."""
        asked: dict[str, Any] = {"account": self.sent.account, **changes}
        bridge = Bridge(self.ledger.vkey, "", "Harbour", **asked)
        return self.world.policy.replace(ledgers=(), bridges=(bridge,))

    def proof(self, sent: Transaction | None) -> bytes:
        """The proof of the reading with this transaction."""
        return proof.with_anchor(self.data, self.anchor.replace(transaction=sent))

    def seen(self, **changes: Any) -> Seen:
        """A node that has it in a safe block."""
        said: dict[str, Any] = {
            "chain": CHAIN,
            "known": True,
            "executed": Executed(57, bytes(32), BLOCK_TIME, True),
            "latest": 100,
            "safe": 60,
            "final": 0,
            **changes,
        }
        return Seen(**said)

    def judge(self, sent: Transaction | None, seen: Seen | None, **asked: object) -> Verdict:
        """The verdict on that proof."""
        answers = {sent.hash: seen} if sent is not None and seen is not None else {}
        data, trusts = self.proof(sent), self.policy(**asked)
        twice(data, trusts)
        return verify.verify(data, trusts, seen=answers)


def twice(data: bytes, trusts: Policy) -> Status:
    """The verdict without a node of the other ledger, on which a second verifier agrees."""
    first = verify.verify(data, trusts)
    second = independent_verifier.verify(data, *trusted(trusts))
    assert first.status.value == independent_verifier.verdict(second), (first.checks, second)
    return first.status


@pytest.fixture(scope="module")
def site() -> Site:
    """One for all: nobody changes it."""
    return Site()


def result(verdict: Verdict) -> tuple[Status, Outcome]:
    """The status, and how the check ended."""
    check = verdict.check("ledger.transaction")
    assert check is not None
    return verdict.status, check.result


# ---- the bytes


def test_what_others_sign_is_read() -> None:
    """The library and web3 would disagree about a transaction's hash, sender, chain or data."""
    data = transaction.calldata("a note\n")
    made = send(data)
    signed = EthAccount.sign_transaction(
        {
            "nonce": 3,
            "gasPrice": 20 * 10**9,
            "gas": 23_448,
            "value": 0,
            "chainId": CHAIN,
            "to": EthAccount.from_key(SECRET).address,
            "data": data,
        },
        SECRET,
    )
    assert bytes(signed.hash) == made.hash
    assert EthAccount.recover_transaction(made.raw).lower() == f"0x{made.account.address.hex()}"
    assert (CHAIN, 3, data) == (made.chain, made.nonce, made.data)
    made.verify()
    assert made == transaction.parse(made.encode())
    assert (b"TLY1", 36) == (data[:4], len(data))


def test_a_known_transaction() -> None:
    """Real bytes: the example of EIP-155 (ethereum/EIPs, EIPS/eip-155.md; CC0)."""
    raw = bytes.fromhex(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a0"
        "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b"
        "3800ccf555c9f3dc64214b297fb1966a3b6d83"
    )
    made = transaction.signed(raw, EthKey(b"\x46" * 32).public_key.to_compressed_bytes())
    made.verify()
    assert (1, 9, b"") == (made.chain, made.nonce, made.data)
    assert "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53" == made.digest.hex()


@given(some.binary(max_size=160))
def test_noise_is_refused(noise: bytes) -> None:
    """A proof from a stranger would end a verifier with a traceback."""
    for raw in (noise, cbor.encode([noise, KEY, None])):
        with pytest.raises(TallystickError):
            transaction.parse(raw)


@given(some.data())
def test_a_changed_transaction_is_found(data: some.DataObject) -> None:
    """A single other byte would leave the reference as good as it was."""
    made = send(transaction.calldata("a note\n"))
    at = data.draw(some.integers(0, len(made.raw) - 1))
    other = bytearray(made.raw)
    other[at] ^= data.draw(some.integers(1, 255))
    with pytest.raises(TallystickError):
        transaction.signed(bytes(other), KEY).verify()


def test_two_verifiers_read_it(site: Site) -> None:
    """What a stranger writes from the page would take another transaction for the anchor's than we do."""
    data, raw = site.proof(site.sent), site.sent.raw
    # where nobody asks for it, it says nothing
    assert Status.VERIFIED is twice(data, site.world.policy)
    found = set()
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1 << at % 8
        forged = data.replace(raw, bytes(changed))
        found.add(twice(forged, site.policy()))
        twice(forged, site.world.policy)
    assert {Status.TAMPERED, Status.UNDECIDED} == found


def test_other_forms_are_malformed() -> None:
    """Two spellings of one transaction would have two hashes."""
    good = send(transaction.calldata("a note\n"))
    typed = EthAccount.sign_transaction(
        {
            "nonce": 0,
            "maxFeePerGas": 9,
            "maxPriorityFeePerGas": 1,
            "gas": 9,
            "value": 0,
            "to": EthAccount.from_key(SECRET).address,
            "data": good.data,
            "chainId": CHAIN,
        },
        SECRET,
    )
    cases = {
        "transaction.rlp": [
            bytes(typed.raw_transaction),
            good.raw + b"\0",
            good.raw[:-1],
            b"\xf8\x01\x00",
            b"",
        ],
        "transaction.too-long": [b"\xf9\x03\x00" + bytes(0x300)],
    }
    for code, raws in cases.items():
        for raw in raws:
            with pytest.raises(TallystickError, match=rf"^{code}"):
                transaction.signed(raw, KEY)
    unprotected = EthAccount.sign_transaction(
        {
            "nonce": 0,
            "gasPrice": 9,
            "gas": 9,
            "value": 0,
            "to": EthAccount.from_key(SECRET).address,
            "data": b"",
        },
        SECRET,
    )
    # counts on every chain
    with pytest.raises(FormatError, match=r"^transaction\.chain"):
        transaction.signed(bytes(unprotected.raw_transaction), KEY)
    with pytest.raises(FormatError, match=r"^transaction\.key"):
        transaction.signed(good.raw, b"\x04" + KEY[1:])
    with pytest.raises(EvidenceError, match=r"^signature\.wrong"):
        transaction.signed(
            good.raw, EthKey(bytes(31) + b"\1").public_key.to_compressed_bytes()
        ).verify()
    with pytest.raises(EvidenceError, match=r"^signature\.wrong"):
        transaction.signed(good.raw, b"\x02" + b"\xff" * 32).verify()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "eip155:1030",
        "eip155:0:0x" + "ab" * 20,
        "eip155:x:0x" + "ab" * 20,
        f"eip155:{limits.CHAIN + 1}:0x" + "ab" * 20,
        "eip155:" + "9" * 5000 + ":0x" + "ab" * 20,
        "eip155:1030:" + "ab" * 20,
        "eip155:1030:0x" + "ab" * 19,
        "eip155:1030:0x" + "zz" * 20,
        "solana:1030:0x" + "ab" * 20,
    ],
)
def test_what_is_no_account(line: str) -> None:
    """A mistyped account in a policy would trust somebody else."""
    with pytest.raises(FormatError, match=r"^transaction\.account"):
        parse_account(line)


def test_accounts_read_as_they_are_written() -> None:
    """Wallets write addresses in mixed case."""
    account = Account(1030, bytes.fromhex("ab" * 20))
    assert account == parse_account(str(account))
    assert account == parse_account("eip155:1030:0x" + "aB" * 20)


# ---- its way through receipt and proof


def test_receipt_and_proof_carry_it(site: Site) -> None:
    """A gateway that knows nothing of bridges would lose the reference on its way into a proof."""
    confirmed = site.anchor.replace(transaction=site.sent)
    answer = Receipt(receipt.State.CONFIRMED, confirmed.block.id, "", confirmed)
    again = receipt.parse(answer.encode())
    assert confirmed == again.confirmed
    assert again.confirmed is not None
    # what the gateway keeps, and hands to the library again
    kept = again.confirmed.encode()
    leaf = site.world.log.inclusion(site.reading.raw)
    opened = site.world.device.records[0]
    built = proof.build(
        records=[site.reading.raw], opens=[opened.raw], inclusions=[leaf], anchor=kept
    )
    parsed = proof.parse(built)
    assert parsed.anchor == confirmed
    decoded: Any = cbor.decode(built)
    assert [1, 2, 4, 6, 7] == [part[0] for part in decoded[2]]


def test_one_place_for_it(site: Site) -> None:
    """One proof would have two spellings, or a transaction that speaks of nothing."""
    data: Any = cbor.decode(site.data)
    inside = site.anchor.replace(transaction=site.sent).encode()
    swapped = [[kind, inside if kind == 6 else raw] for kind, raw in data[2]]
    with pytest.raises(FormatError, match=r"^proof\.transaction"):
        proof.parse(cbor.encode(["tally", 1, swapped]))
    lonely = [part for part in data[2] if part[0] != 6]
    lonely.insert(3, [5, site.note.raw])
    lonely.insert(4, [7, site.sent.encode()])
    with pytest.raises(FormatError, match=r"^proof\.transaction"):
        proof.parse(cbor.encode(["tally", 1, lonely]))
    with pytest.raises(FormatError, match=r"^confirmed\.shape"):
        milestone.parse_confirmed(cbor.encode([*site.anchor.value(), site.sent.value(), 1]))


# ---- the verdict


def test_looked_up_and_safe(site: Site) -> None:
    """A bridge's proof could never be verified; or its time would be the bridge's word."""
    verdict = site.judge(site.sent, site.seen())
    assert (Status.VERIFIED, Outcome.OK) == result(verdict)
    assert BLOCK_TIME == verdict.not_after


def test_nobody_asked(site: Site) -> None:
    """Offline a bridge's word alone would pass for the other ledger's."""
    verdict = site.judge(site.sent, None)
    assert (Status.UNDECIDED, Outcome.SKIPPED) == result(verdict)
    assert verdict.not_after is None


def test_without_a_transaction(site: Site) -> None:
    """Whoever hands over a proof would make it good by leaving a part out."""
    assert (Status.UNDECIDED, Outcome.UNDECIDED) == result(site.judge(None, None))


def test_a_ledger_trusted_by_itself(site: Site) -> None:
    """A site that trusts its embedded ledger would need a network to verify."""
    verdict = verify.verify(site.proof(site.sent), site.world.policy)
    assert Status.VERIFIED is verdict.status
    assert verdict.check("ledger.transaction") is None
    assert any("another ledger" in note for note in verdict.notes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"executed": None}, (Status.PENDING, Outcome.PENDING)),
        ({"executed": None, "known": False}, (Status.UNDECIDED, Outcome.UNDECIDED)),
        ({"safe": 56}, (Status.PENDING, Outcome.PENDING)),
        ({"safe": None}, (Status.PENDING, Outcome.PENDING)),
        ({"safe": 57}, (Status.VERIFIED, Outcome.OK)),
        ({"safe": 56, "final": 57}, (Status.VERIFIED, Outcome.OK)),
        ({"chain": 71}, (Status.UNDECIDED, Outcome.UNDECIDED)),
        (
            {"executed": Executed(57, bytes(32), BLOCK_TIME, False)},
            (Status.UNDECIDED, Outcome.UNDECIDED),
        ),
    ],
)
def test_what_the_node_says(
    site: Site, changes: dict[str, object], expected: tuple[Status, Outcome]
) -> None:
    """A transaction would count before it is safe, or a missing one as forged."""
    assert expected == result(site.judge(site.sent, site.seen(**changes)))


def test_what_the_policy_asks(site: Site) -> None:
    """A policy could not ask for more, nor make do where a ledger has no safe block."""
    assert (Status.PENDING, Outcome.PENDING) == result(
        site.judge(site.sent, site.seen(), state=State.FINAL)
    )
    unsafe = site.seen(safe=None, final=None)
    assert (Status.VERIFIED, Outcome.OK) == result(
        site.judge(site.sent, unsafe, state=State.EXECUTED)
    )
    assert (Status.VERIFIED, Outcome.OK) == result(site.judge(site.sent, unsafe, depth=43))
    assert (Status.PENDING, Outcome.PENDING) == result(site.judge(site.sent, unsafe, depth=44))


def test_another_account(site: Site) -> None:
    """Anybody's transaction would pass for the bridge's, or one on a chain that costs nothing."""
    other = send(site.sent.data, secret=bytes(range(2, 34)))
    assert (Status.UNTRUSTED, Outcome.UNTRUSTED) == result(site.judge(other, site.seen()))
    elsewhere = send(site.sent.data, chain=71)
    seen = site.seen(chain=71)
    verdict = site.judge(elsewhere, seen, account=site.sent.account)
    assert (Status.UNTRUSTED, Outcome.UNTRUSTED) == result(verdict)


def test_the_transaction_of_another_anchor(site: Site) -> None:
    """One payment would vouch for any number of anchors."""
    other = send(transaction.calldata("another note\n"))
    assert (Status.TAMPERED, Outcome.FAILED) == result(site.judge(other, site.seen()))
    assert (Status.TAMPERED, Outcome.FAILED) == result(site.judge(other, None))
    longer = send(site.sent.data + b"\0")
    assert (Status.TAMPERED, Outcome.FAILED) == result(site.judge(longer, site.seen()))


def test_a_key_that_did_not_sign(site: Site) -> None:
    """The sender could be made up."""
    forged = site.sent.replace(key=EthKey(bytes(31) + b"\1").public_key.to_compressed_bytes())
    verdict = site.judge(forged, site.seen(), account=forged.account)
    assert (Status.TAMPERED, Outcome.FAILED) == result(verdict)


def test_a_later_checkpoint_of_the_ledger() -> None:
    """One transaction could not carry all of an embedded ledger; or one that does not contain the anchor would."""
    site = Site()
    site.world.device.readings([1])
    site.world.publish()
    site.world.device.readings([2])
    later = site.world.publish()
    leaves = [merkle.leaf_hash(one) for one in site.ledger.order[: later.size]]
    path = tuple(merkle.consistency_path(leaves, site.anchor.milestone.size))
    text = transaction.ledger_text(site.ledger.id, later.size, later.root)
    sent = send(transaction.calldata(text)).replace(later=Later(later.size, later.root, path))
    assert sent == transaction.parse(sent.encode())
    assert (Status.VERIFIED, Outcome.OK) == result(site.judge(sent, site.seen()))
    other = bytes(32)
    for wrong in (
        sent.replace(later=None),
        sent.replace(later=Later(later.size, other, path)),
        sent.replace(later=Later(later.size + 1, later.root, path)),
        sent.replace(later=Later(later.size, later.root, path[1:])),
        send(
            transaction.calldata(transaction.ledger_text(bytes(8), later.size, later.root))
        ).replace(later=sent.later),
    ):
        assert (Status.TAMPERED, Outcome.FAILED) == result(site.judge(wrong, site.seen()))


def test_two_clocks_may_disagree(site: Site) -> None:
    """A block whose time lags the bridge's clock by a second would call an honest proof forged."""
    early = site.seen(executed=Executed(57, bytes(32), START - 90 * 86_400, True))
    verdict = site.judge(site.sent, early)
    # the credential was not valid then: the block's time is what counts
    check = verdict.check("device.credential")
    assert check is not None
    assert Outcome.UNTRUSTED is check.result


# ---- the states


def test_states_in_order() -> None:
    """`safe` would not satisfy who asks for `executed`, or the other way round."""
    assert [False, False, True, True] == [
        settlement.reached(one, State.SAFE)
        for one in (State.ACCEPTED, State.EXECUTED, State.SAFE, State.FINAL)
    ]
    assert not settlement.reached(State.FAILED, State.EXECUTED)


# ---- the policy


def entry(site: Site, **changes: object) -> str:
    """A policy's text with the bridge."""
    fields = {"vkey": str(site.ledger.vkey), "account": str(site.sent.account), **changes}
    lines = [f"{key} = {value!r}" for key, value in fields.items() if value is not None]
    return "\n".join(["version = 1", "[[bridges]]", *lines, ""])


def test_a_policy_with_a_bridge(site: Site) -> None:
    """What a policy says of a bridge would not be what counts."""
    read = policy.parse(entry(site, state="executed", depth=12).encode())
    (bridge,) = read.bridges
    assert (site.sent.account, State.EXECUTED, 12) == (bridge.account, bridge.state, bridge.depth)
    assert bridge == read.bridge(site.ledger.id) == read.ledger(site.ledger.id)
    (plain,) = policy.parse(entry(site).encode()).bridges
    assert (State.SAFE, 0) == (plain.state, plain.depth)


@pytest.mark.parametrize(
    "changes",
    [
        {"account": None},
        {"account": "0x00"},
        {"state": "accepted"},
        {"state": 1},
        {"depth": -1},
        {"depth": limits.DEPTH + 1},
    ],
)
def test_a_policy_that_cannot_be_used(site: Site, changes: dict[str, object]) -> None:
    """A mistake would silently ask for less."""
    with pytest.raises(TallystickError, match=r"^policy\.bridge"):
        policy.parse(entry(site, **changes).encode())


def test_a_ledger_in_both_lists(site: Site) -> None:
    """The entry that asks for less would count."""
    text = entry(site) + f'[[ledgers]]\nvkey = "{site.ledger.vkey}"\n'
    with pytest.raises(TallystickError, match=r"^policy\.bridge"):
        policy.parse(text.encode())
