"""The page reads the policy that people have: the same files, the same trust, the same errors.

If these fail, a policy that `tally` takes is refused on the page, or one that it refuses trusts somebody there.
"""

from __future__ import annotations

import pytest

from tallystick import policy
from tallystick.errors import TallystickError
from tests.cold_room import ColdRoom
from tests.host_tools.page.questions import answers
from tests.world import World, key

DID = World().issuer_did
LOG = str(World().log.vkey)
LEDGER = str(World().ledger.vkey)
ACCOUNT = "eip155:1030:0x" + "0123456789abcdefABCD" * 2

GOOD = {
    "nobody": "version = 1",
    "comments and blank lines": "\n# whom\n\n version = 1 # one\n\t\n# end",
    "windows": "version = 1\r\n[[issuers]]\r\ndid = 'DID'\r\n",
    "literal strings": "version = 1\n[[issuers]]\ndid = 'DID'\nname = 'C:\\n'",
    "escapes": 'version = 1\n[[issuers]]\ndid = "DID"\nname = "\\u00e4\\U0001F600 \\"q\\" \\t"',
    "long strings": "version = 1\n[[issuers]]\ndid = \"\"\"\\\n   DID\"\"\"\nname = '''\na\"b''c'''",
    "quotes at the end": 'version = 1\n[[issuers]]\ndid = "DID"\nname = """a\\""""""',
    "inline tables": 'version = 1\nissuers = [ {did = "DID", name = "A"}, ]',
    "quoted keys": '"version" = 1\n[["issuers"]]\n\'did\' = "DID"',
    "hexadecimal": "version = 0x1",
    "underscores": "version = 1\nrequire.checks = []\n",
    "spaces in headers": 'version = 1\n[[ issuers ]]\ndid = "DID"\n[ require ]\nchecks = [\n  # none\n]',
    "dotted keys": 'version = 1\nrequire.checks = ["chain.link"]\nrequire.anchor_age = "3d"',
    "everybody": (
        'version = 1\n[[issuers]]\ndid = "DID"\n[[gateways]]\nvkey = "LOG"\n'
        '[[ledgers]]\nvkey = "LEDGER"\noperator = "A"'
    ),
    "a bridge": 'version = 1\n[[bridges]]\nvkey = "LEDGER"\naccount = "ACCOUNT"\nstate = "final"\ndepth = 3',
    "requirements": 'version = 1\n[require]\nboards = ["ESP32_GENERIC"]\nagents = ["00112233445566778899aabbccddeeff"]',
}
BAD = {
    "empty": "",
    "not UTF-8 in a string": 'version = 1\nname = "\x00"',
    "no value": "version =",
    "two on a line": "version = 1 version = 1",
    "a key twice": "version = 1\nversion = 1",
    "a table twice": "version = 1\n[require]\n[require]",
    "a list and a table": 'version = 1\n[issuers]\n[[issuers]]\ndid = "DID"',
    "an inline table that grows": "version = 1\nrequire = {}\n[require]\nchecks = []",
    "an inline table that grows by dots": "version = 1\nrequire = {}\nrequire.checks = []",
    "no end of a string": 'version = 1\n[[issuers]]\ndid = "DID',
    "a line break in a string": 'version = 1\n[[issuers]]\ndid = "DID\n"',
    "an unknown escape": 'version = 1\n[[issuers]]\ndid = "\\q"',
    "half a surrogate": 'version = 1\n[[issuers]]\nname = "\\ud800"',
    "leading zero": "version = 01",
    "text without quotes": "version = one",
    "a float": "version = 1.0",
    "a date": "version = 2026-11-20",
    "a boolean": "version = true",
    "another version": "version = 2",
    "an unknown table": "version = 1\n[[issuer]]",
    "an unknown key": 'version = 1\n[[issuers]]\ndid = "DID"\nvkey = "x"',
    "a table for a list": "version = 1\n[issuers]",
    "no list": "version = 1\ngateways = 3",
    "no table": 'version = 1\nrequire = "all"',
    "no DID": 'version = 1\n[[issuers]]\ndid = "did:web:example.com"',
    "a number for a name": 'version = 1\n[[issuers]]\ndid = "DID"\nname = 3',
    "a ledger for a gateway": 'version = 1\n[[gateways]]\nvkey = "LEDGER"',
    "a gateway for a ledger": 'version = 1\n[[ledgers]]\nvkey = "LOG"',
    "a log for a witness": 'version = 1\n[[witnesses]]\nvkey = "LOG"',
    "a cut key": 'version = 1\n[[gateways]]\nvkey = "LOG="',
    "one twice": 'version = 1\n[[issuers]]\ndid = "DID"\n[[issuers]]\ndid = "DID"',
    "an unknown check": 'version = 1\n[require]\nchecks = ["everything"]',
    "checks that are no list": 'version = 1\n[require]\nchecks = "chain.link"',
    "a quorum of nobody": "version = 1\n[require]\nwitnesses = 1",
    "a quorum below none": "version = 1\n[require]\nwitnesses = -1",
    "no boards": "version = 1\n[require]\nboards = []",
    "no board": 'version = 1\n[require]\nboards = ["a board"]',
    "no digest": 'version = 1\n[require]\nagents = ["00"]',
    "no duration": 'version = 1\n[require]\nanchor_age = "4 days"',
    "no account": 'version = 1\n[[bridges]]\nvkey = "LEDGER"\naccount = "eip155:0:0x00"',
    "no state": 'version = 1\n[[bridges]]\nvkey = "LEDGER"\naccount = "ACCOUNT"\nstate = "sure"',
    "no depth": 'version = 1\n[[bridges]]\nvkey = "LEDGER"\naccount = "ACCOUNT"\ndepth = -1',
    "a bridge that is a ledger": (
        'version = 1\n[[ledgers]]\nvkey = "LEDGER"\n[[bridges]]\nvkey = "LEDGER"\naccount = "ACCOUNT"'
    ),
    "too long": "version = 1\n#" + "x" * 2**20,
}


def filled(text: str) -> str:
    for name, value in (("DID", DID), ("LEDGER", LEDGER), ("LOG", LOG), ("ACCOUNT", ACCOUNT)):
        text = text.replace(name, value)
    return text


def code(text: str) -> str | None:
    """Python's answer: the code of the error, None if the policy is taken."""
    try:
        policy.parse(text.encode())
    except TallystickError as error:
        return error.code
    return None


@pytest.mark.parametrize("texts", [GOOD, BAD], ids=["good", "bad"])
def test_takes_and_refuses_what_the_library_does(texts: dict[str, str]) -> None:
    given = {name: filled(text) for name, text in texts.items()}
    said = answers({"policy": text} for text in given.values())
    expected = {name: code(text) for name, text in given.items()}
    assert expected == {name: one["code"] for name, one in zip(given, said, strict=True)}
    assert (texts is GOOD) is (set(expected.values()) == {None})


def test_a_policy_means_the_same_in_every_spelling() -> None:
    """Names and operators would stand in the verdict otherwise."""
    room = ColdRoom()
    text = room.policy.replace('name = "Acme"', "name = 'Acme \\u00e4'").replace(
        'operator = "Harbour"', 'operator = "H\\u00e4fen"'
    )
    trusted = policy.parse(text.encode())
    (said,) = answers([{"proof": room.proof().hex(), "policy": text}])
    details = dict(zip([c for c, _ in said["checks"]], said["details"], strict=True))
    assert f"issued by {trusted.issuers[0].name}" == details["device.credential"]
    assert details["ledger.milestone"].endswith(f", operated by {trusted.ledgers[0].operator}")
    assert "H\u00e4fen" == trusted.ledgers[0].operator


def test_a_witness_is_taken() -> None:
    from tallystick.cosignature import WitnessKey

    line = str(WitnessKey("witness.example/w1", key("witness").public))
    text = f'version = 1\n[[witnesses]]\nvkey = "{line}"\n[require]\nwitnesses = 1'
    assert code(text) is None
    assert [{"code": None}] == answers([{"policy": text}])
