"""`tally device` with a real ledger at a real broker: the life of a device, and everyone who tries to bend it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tallystick import block, cbor, checkpoint, credential, did, merkle, proof, statement
from tallystick.block import BlockKind
from tallystick.checkpoint import gateway_name
from tallystick.keys import PrivateKey
from tallystick.milestone import Confirmed
from tallystick.note import VerifierKey
from tallystick.receipt import Receipt, State
from tallystick.statement import StatementKind
from tallystick_host import ledger_client, limits
from tallystick_host.cli import main
from tallystick_host.home import Home
from tests.host_tools.conftest import Ran, Tally
from tests.host_tools.test_prove import Web
from tests.ledger.site import Ledger, Submitter
from tests.parts import LOOPBACK, Broker
from tests.world import START, Device, World, key

GATEWAY = key("gateway")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@dataclass
class Site:
    """A ledger that runs, and somebody at its broker."""

    ledger: Ledger
    submitter: Submitter
    broker: Broker

    def post(self, kind: BlockKind, body: bytes) -> Confirmed:
        """Post bytes around `tally`, and wait until they are confirmed."""
        raw = block.sign(key("anyone"), self.submitter.parents(), 0, kind, body)
        answer = self.submitter.answer(self.submitter.submit(raw), State.CONFIRMED)
        assert answer.confirmed is not None
        return answer.confirmed

    def state(
        self, by: PrivateKey, device: str, previous: bytes | None, kind: StatementKind, *args: bytes
    ) -> bytes:
        """Post a statement around `tally`; its id."""
        raw = statement.sign(by, device, self.ledger.id, previous, kind, args)
        self.post(BlockKind.STATEMENT, raw)
        return statement.parse(raw).id


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with (
        Broker(folder / "broker") as broker,
        Ledger(folder / "ledger", broker.port, interval_s=0.1) as ledger,
    ):
        ledger.wait_connected(1)
        with Submitter(broker.port, ledger.id) as submitter:
            yield Site(ledger, submitter, broker)


@dataclass
class Homes:
    """The home folders of Acme, who issues and owns at first, and of a buyer; made once, copied for each test."""

    folder: Path
    names: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory, site: Site) -> Homes:
    folder = tmp_path_factory.mktemp("homes")
    names = {}
    for who in ("acme", "buyer"):
        home = Home(folder / who)
        home.make(who)
        keys = {"owner": home.owner(), "issuer": home.issuer()}
        names[who] = {name: did.did_key(one.public) for name, one in keys.items()}
    gateway = VerifierKey(gateway_name(GATEWAY.public), GATEWAY.public)
    policy = (
        f'version = 1\n[[issuers]]\ndid = "{names["acme"]["issuer"]}"\nname = "Acme"\n'
        f'[[gateways]]\nvkey = "{gateway}"\n'
        f'[[ledgers]]\nvkey = "{site.ledger.name}"\noperator = "Harbour"\n'
    )
    for who in names:
        (folder / who / "policy.toml").write_text(policy)
    return Homes(folder, names)


class People:
    """Acme and the buyer at the command line, in this process (a test of each command's process stands below)."""

    def __init__(
        self, folder: Path, site: Site, homes: Homes, output: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.site, self._output = folder, site, output
        self.device = Device(PrivateKey.generate())
        self.acme, self.buyer = homes.names["acme"], homes.names["buyer"]
        for who in homes.names:
            shutil.copytree(homes.folder / who, folder / who)

    def key(self, who: str, name: str) -> PrivateKey:
        """A key out of somebody's home folder."""
        return PrivateKey.from_pem((self.folder / who / f"{name}.key").read_bytes())

    def run(self, *argv: str | Path, who: str = "acme") -> Ran:
        self._output.readouterr()
        status = main(["--home", str(self.folder / who), *map(str, argv)])
        said = self._output.readouterr()
        return Ran(status, said.out, said.err)

    def ask(self, what: str, *argv: str | Path, who: str = "acme") -> Ran:
        ledger = ("--ledger", self.site.ledger.url())
        return self.run("device", what, self.device.did, *ledger, *argv, who=who)

    def say(self, what: str, *argv: str | Path, who: str = "acme") -> Ran:
        broker = ("--broker", f"{LOOPBACK}:{self.site.broker.port}", "--wait")
        return self.ask(what, *broker, *argv, who=who)

    def done(self, what: str, *argv: str | Path, who: str = "acme") -> Ran:
        ran = self.say(what, *argv, who=who)
        assert 0 == ran.status, ran.err
        return ran

    def check(self, *argv: str | Path) -> tuple[int, dict[str, Any]]:
        ran = self.ask("check", "--json", *argv)
        return ran.status, json.loads(ran.out or "{}")

    def history(self) -> list[dict[str, Any]]:
        ran = self.ask("history", "--json")
        assert 0 == ran.status, ran.err
        return [json.loads(line) for line in ran.out.splitlines()]


@pytest.fixture
def people(
    tmp_path: Path,
    site: Site,
    homes: Homes,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> People:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return People(tmp_path, site, homes, capsys)


def test_a_whole_life(people: People) -> None:
    """Broken: a device cannot be sold, barred, found again or retired, or a buyer is told another story."""
    assert (5, "unknown") == (people.check()[0], people.check()[1]["status"])
    ran = people.done("register")
    assert ran.out.startswith(f"registered  {people.device.did}  confirmed at ")
    status, facts = people.check()
    assert (0, "active", people.acme["owner"]) == (status, facts["status"], facts["owner"])
    people.done("suspend", "--reason", "recall 17")
    status, facts = people.check()
    assert (4, "suspended") == (status, facts["status"])
    assert "recall 17" in facts["detail"]
    people.done("resume")
    people.done("transfer", "--to", people.buyer["owner"])
    status, facts = people.check()
    assert (0, people.acme["owner"]) == (status, facts["owner"])
    assert people.buyer["owner"] == facts["offered_to"]
    people.done("accept", who="buyer")
    people.done("report-stolen", who="buyer")
    assert (4, "stolen") == (people.check()[0], people.check("--quick")[1]["status"])
    people.done("recover", who="acme")  # the issuer may, too
    status, facts = people.check()
    assert (0, people.buyer["owner"], None) == (status, facts["owner"], facts["offered_to"])
    assert facts["as_of"]["complete"]
    successor = did.did_key(key("successor").public)
    people.done("replace", "--by", successor)
    status, facts = people.check()
    assert (4, "retired") == (status, facts["status"])
    assert successor in facts["detail"]
    said = [(one["statement"], one["took"]) for one in people.history()]
    kinds = "registered suspended resumed transferred accepted stolen recovered replaced"
    assert [(kind, True) for kind in kinds.split()] == said


def test_an_inspection(people: People) -> None:
    """Broken: a calibration cannot be shown to a buyer, or anyone can claim one."""
    people.done("register")
    inspector = PrivateKey.generate()
    name = did.did_key(inspector.public)
    mine = people.folder / "me.key"
    mine.write_bytes(inspector.to_pem())
    argv = ("credential", "issue", name, "--role", "inspector", "--form", "cwt")
    assert 0 == people.run(*argv, "-o", people.folder).status
    card = people.folder / f"{inspector.public.kid.hex()}.cwt"
    said = ("--result", "calibrated, +0.1 K", "--credential", card)
    ran = people.say("inspect", *said)  # with the owner's key, not the inspector's
    assert (1, "(statement.objection)" in ran.err) == (ran.status, True)
    people.done("inspect", *said, "--key", mine, who="buyer")
    seen = people.check()[1]["inspected"]
    assert ("calibrated, +0.1 K", name) == (seen["result"], seen["inspector"])


REFUSED = [
    ("transfer", ("--to", "{buyer}"), "buyer"),
    ("suspend", ("--reason", "x"), "buyer"),
    ("report-stolen", (), "buyer"),
    ("retire", (), "buyer"),
    ("accept", (), "buyer"),  # nothing was offered
    ("accept", (), "acme"),
    ("resume", (), "acme"),  # it is not suspended
    ("recover", (), "acme"),  # it is not stolen
    ("register", (), "acme"),  # a second time
    ("replace", ("--by", "{buyer}"), "buyer"),
]


def test_who_has_no_right_is_refused_before_anything_is_posted(people: People) -> None:
    """Broken: a thief, or a slip, puts a statement into the ledger, where it stays for ever."""
    people.done("register")
    for what, argv, who in REFUSED:
        words = [one.format(buyer=people.buyer["owner"]) for one in argv]
        ran = people.say(what, *words, who=who)
        assert (1, "") == (ran.status, ran.out), what
        assert "would have no effect: " in ran.err
        assert "(statement.objection)\nhint: the device is active as of milestone " in ran.err
    assert ["registered"] == [one["statement"] for one in people.history()]


def test_forced_it_changes_nothing(people: People) -> None:
    """Broken: --force is a way around the rules, not only around the warning."""
    people.done("register")
    ran = people.say("report-stolen", "--force", who="buyer")
    assert (1, True) == (ran.status, "warning: confirmed, and without effect: " in ran.err)
    assert "warning: it will have no effect: its signer has no right to say this\n" in ran.err
    assert (0, "active") == (people.check()[0], people.check()[1]["status"])
    last = people.history()[-1]
    assert ("stolen", False) == (last["statement"], last["took"])


def test_forged_replayed_and_out_of_order(people: People, site: Site) -> None:
    """Broken: whoever reaches the broker can bar or take a device, or undo what its owner said."""
    people.done("register")
    owner, device = people.key("acme", "owner"), people.device.did
    first = bytes.fromhex(people.history()[0]["id"])
    # forged: the owner's kid, a stranger's signature
    good = statement.sign(owner, device, site.ledger.id, first, StatementKind.STOLEN)
    site.post(BlockKind.STATEMENT, good[:-1] + bytes([good[-1] ^ 1]))
    # out of order: names a statement that is not there
    site.state(owner, device, bytes(32), StatementKind.RETIRED)
    site.state(owner, device, None, StatementKind.STOLEN)
    # by a stranger, in his own name, and about himself as owner
    thief = PrivateKey.generate()
    name = did.did_key(thief.public).encode()
    site.state(thief, device, None, StatementKind.REGISTERED, name)
    site.state(thief, device, first, StatementKind.TRANSFERRED, name)
    site.state(thief, device, first, StatementKind.ACCEPTED)
    assert [True, *[False] * 6] == [one["took"] for one in people.history()]
    assert 0 == people.check()[0]
    # the owner's own word still counts, after all of it
    people.done("report-stolen")
    people.done("recover")
    # replayed: the same theft, posted again in a new block
    stolen = statement.sign(owner, device, site.ledger.id, first, StatementKind.STOLEN)
    site.post(BlockKind.STATEMENT, stolen)
    last = people.history()[-1]
    assert ("stolen", False) == (last["statement"], last["took"])
    assert "does not follow the last statement" in last["detail"]
    assert 0 == people.check()[0]


def test_the_same_thing_said_twice(people: People, site: Site) -> None:
    """Broken: two clerks at once transfer a device to two buyers, and both are owners."""
    people.done("register")
    owner, device = people.key("acme", "owner"), people.device.did
    first = bytes.fromhex(people.history()[0]["id"])
    other = PrivateKey.generate()
    buyers = [people.key("buyer", "owner"), other]
    offers = [
        site.state(
            owner, device, first, StatementKind.TRANSFERRED, did.did_key(one.public).encode()
        )
        for one in buyers
    ]
    site.state(other, device, offers[1], StatementKind.ACCEPTED)
    site.state(buyers[0], device, offers[0], StatementKind.ACCEPTED)
    took = [(one["statement"], one["took"]) for one in people.history()[1:]]
    assert [
        ("transferred", True),
        ("transferred", False),
        ("accepted", False),
        ("accepted", True),
    ] == took
    assert people.buyer["owner"] == people.check()[1]["owner"]


def test_somebody_was_quicker(people: People, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken: a statement that came second, and so did nothing, is reported as done."""
    people.done("register")
    first, owner = bytes.fromhex(people.history()[0]["id"]), people.key("acme", "owner")
    genuine = ledger_client.post

    def after_a_theft(*args: Any, **more: Any) -> Receipt:
        site.state(owner, people.device.did, first, StatementKind.STOLEN)
        return genuine(*args, **more)

    monkeypatch.setattr(ledger_client, "post", after_a_theft)
    ran = people.say("suspend", "--reason", "recall", "--json")
    facts = json.loads(ran.out)
    assert (1, "confirmed", False) == (ran.status, facts["state"], facts["took"])
    assert "does not follow the last statement" in facts["detail"]
    assert "stolen" == people.check()[1]["status"]


def test_another_issuer_of_the_policy_cannot_take_a_device(people: People, site: Site) -> None:
    """Broken: any issuer that somebody trusts can register another's device to himself."""
    other = key("other issuer")
    for who in ("acme", "buyer"):
        path = people.folder / who / "policy.toml"
        path.write_text(
            path.read_text() + f'[[issuers]]\ndid = "{did.did_key(other.public)}"\nname = "Other"\n'
        )
    name = did.did_key(other.public).encode()
    site.state(other, people.device.did, None, StatementKind.REGISTERED, name)
    assert "Other" in people.ask("check").out
    raw = credential.sign(
        people.key("acme", "issuer"), people.acme["issuer"], people.device.did, 1_700_000_000
    )
    held = people.folder / "held.cwt"
    held.write_bytes(raw)
    assert 5 == people.check("--held", held)[0]
    people.done("register", "--held", held)
    status, facts = people.check("--held", held)
    assert (0, people.acme["issuer"]) == (status, facts["issuer"])
    ran = people.ask("check")
    assert (5, True) == (ran.status, "(issuer.ambiguous)\nhint: --held FILE" in ran.err)
    # the seller's own idea of whose credential it holds
    held.write_bytes(
        credential.sign(key("thief"), did.did_key(other.public), people.device.did, 1_700_000_000)
    )
    ran = people.ask("check", "--held", held)
    assert (1, True) == (ran.status, "(signature.key)" in ran.err)


def test_an_id_is_enough_to_ask(people: People, tally: Tally) -> None:
    """Broken: what is printed on a board's label does not find it."""
    people.done("register")
    ledger = ("--ledger", people.site.ledger.url())
    id = people.device.id.hex()
    ran = tally("device", "check", id, *ledger, env={"TALLY_HOME": "acme"})
    assert 0 == ran.status, ran.err
    assert ran.out.startswith(f"{people.device.did}: active: nothing bars it\n")
    assert "as of milestone " in ran.err
    assert " by Harbour, out of all " in ran.err
    ran = people.run("device", "check", "00" * 8, *ledger)
    assert (5, True) == (ran.status, "(device.unknown)\nhint: " in ran.err)


def test_credential_and_ledger_in_one_command(people: People) -> None:
    """Broken: a revoked credential is in the lists and not in the ledger, or the other way round."""
    people.done("register")
    assert 0 == people.run("credential", "issue", people.device.did, "-o", people.folder).status
    at = (
        *("--ledger", people.site.ledger.url(), "--wait"),
        *("--broker", f"{LOOPBACK}:{people.site.broker.port}"),
    )
    for name, standing in (("suspend", "suspended"), ("resume", "active"), ("revoke", "retired")):
        ran = people.run("credential", name, people.device.did, *at, "--json")
        assert 0 == ran.status, ran.err
        facts = json.loads(ran.out)
        assert ("confirmed", 1) == (facts["posted"]["state"], len(facts["changed"]))
        assert standing == people.check()[1]["status"]


# ---- proofs


def test_before_and_after_the_theft(people: People, site: Site, tally: Tally) -> None:
    """Broken: a theft takes the readings from before it away, or leaves those after it good."""
    device, issuer = people.device, people.key("acme", "issuer")
    device.time = 1_700_000_000
    device.open()
    held = credential.sign(issuer, people.acme["issuer"], device.did, device.time - 10)
    readings = [device.readings([215]), device.readings([216])]
    leaves = [merkle.leaf_hash(one.raw) for one in device.records]

    def anchored() -> Confirmed:
        note = checkpoint.sign(GATEWAY, gateway_name(GATEWAY.public), 3, merkle.root(leaves))
        return site.post(BlockKind.ANCHOR, note)

    def proven(seq: int, anchor: Confirmed) -> bytes:
        return proof.build(
            records=[readings[seq - 1].raw],
            opens=[device.records[0].raw],
            inclusions=[(seq, merkle.inclusion_path(leaves, seq))],
            anchor=anchor.encode(),
            credential=held,
        )

    people.done("register")
    before = anchored()
    people.done("report-stolen")
    after = anchored()
    web = Web()
    try:
        for name, data, expected in (
            ("before", proven(1, before), (0, "VERIFIED")),
            ("after", proven(2, after), (4, "UNTRUSTED")),
        ):
            web.answers[f"/v1/devices/{device.id.hex()}/proof"] = (200, data)
            file = f"{name}.tally"
            argv = ("--gateway", web.url, "--ledger", site.ledger.url(), "-o", file)
            seq = "1" if name == "before" else "2"
            ran = tally("prove", device.id.hex(), seq, *argv)
            assert 0 == ran.status, ran.err
            assert "2 statements about the device added\n" in ran.err
            judged = tally("verify", "--json", "--policy", "acme/policy.toml", file)
            facts = json.loads(judged.out)
            assert expected == (judged.status, facts["status"])
            standing = next(one for one in facts["checks"] if one["code"] == "device.status")
            assert ("stolen before the anchor's position" == standing["detail"]) == (
                name == "after"
            )
    finally:
        web.close()


# ---- a ledger that lies, and one that is not there


def shown_by(web: Web, world: World) -> None:
    """Have `web` answer as an honest ledger with the blocks of `world` would, four blocks an answer."""
    stone = world.ledger.milestones[-1]
    raws = [world.ledger.blocks[id].raw for id in world.ledger.order]
    web.answers["/v1/milestone"] = (200, stone.block.raw)
    for start in range(0, len(raws), 4):
        body = b"".join(cbor.encode(raw) for raw in raws[start : start + 4])
        web.answers[f"/v1/export@{start}"] = (200, body)


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()


@pytest.fixture
def stolen(tally: Tally, web: Web) -> World:
    """A device that was registered and stolen, in a ledger whose HTTP side is `web`."""
    world = World()
    world.register()
    world.ledger.milestone(world.device.time)
    world.state(world.owner, StatementKind.STOLEN)
    world.ledger.milestone(world.device.time + 60)
    world.ledger.milestone(world.device.time + 120)
    shown_by(web, world)
    tally.write("policy.toml", world.policy_text())
    return world


def checked(tally: Tally, web: Web, world: World, *argv: str) -> Ran:
    at = ("--ledger", web.url, "--policy", "policy.toml")
    return tally("device", "check", world.device.did, *at, *argv)


def test_an_honest_answer_in_pages(tally: Tally, web: Web, stolen: World) -> None:
    """Broken: the tests below refuse whatever comes."""
    ran = checked(tally, web, stolen)
    assert 4 == ran.status, ran.err
    assert f"{stolen.device.did}: stolen: since " in ran.out
    assert len([path for path, _ in web.asked if path == "/v1/export"]) > 1


def test_a_theft_cannot_be_kept_back(tally: Tally, web: Web, stolen: World) -> None:
    """Broken: whoever stands between ledger and buyer leaves out the one block that matters."""
    theft = stolen.ledger.blocks[stolen.statements[-1]].raw
    genuine = dict(web.answers)
    others = [
        stolen.ledger.blocks[stolen.statements[0]].raw,  # another block in its place
        theft[:-1] + bytes([theft[-1] ^ 1]),  # changed in one bit
    ]
    for path, (_, body) in genuine.items():
        if cbor.encode(theft) not in body:
            continue
        for other in others:
            changed = body.replace(cbor.encode(theft), cbor.encode(other))
            web.answers[path] = (200, changed)
            ran = checked(tally, web, stolen)
            assert (1, "") == (ran.status, ran.out)
            assert "(ledger.root)" in ran.err
        web.answers[path] = (200, body.replace(cbor.encode(theft), b""))
        ran = checked(tally, web, stolen)
        assert (ran.status, ran.out) in ((5, ""), (1, ""))
        web.answers[path] = (200, b"")
        assert "(ledger.blocks)" in checked(tally, web, stolen).err
        break
    else:
        pytest.fail("the theft is in no answer")


def test_a_milestone_of_somebody_else(tally: Tally, web: Web, stolen: World) -> None:
    """Broken: anyone can set up a ledger in which nothing was ever stolen."""
    stranger = World()
    stranger.ledger = type(stranger.ledger)(key("stranger"))
    stranger.ledger.milestone(stranger.device.time)
    shown_by(web, stranger)
    ran = checked(tally, web, stolen)
    assert (5, True) == (ran.status, "(ledger.unknown)\nhint: tally policy trust" in ran.err)
    # in the right ledger's name, with a stranger's signature
    forged = stolen.ledger.milestone(stolen.device.time + 900, signer=key("stranger"))
    web.answers["/v1/milestone"] = (200, forged.block.raw)
    ran = checked(tally, web, stolen)
    assert (1, "") == (ran.status, ran.out)
    assert "(signature.key)" in ran.err


def test_answers_that_are_no_blocks(tally: Tally, web: Web, stolen: World) -> None:
    """Broken: rubbish, or an answer without an end, ends in a traceback or in no end."""
    for body in (b"<html>", b"\x5b" + b"\xff" * 8, b"\x5a\xff\xff\xff\xff", b"\x58\x01\x00"):
        web.answers["/v1/export@0"] = (200, body)
        ran = checked(tally, web, stolen)
        assert (5, "") == (ran.status, ran.out), ran.err
        assert ran.err.startswith("error: ")
    web.answers["/v1/milestone"] = (200, b"rubbish")
    assert 5 == checked(tally, web, stolen).status


def test_statements_that_are_not_proven(tally: Tally, web: Web, stolen: World) -> None:
    """Broken: with --quick a statement counts that no milestone confirms."""
    id = stolen.device.id.hex()
    first = stolen.ledger.confirmed(stolen.statements[0])
    path = list(first.path)
    path[0] = bytes(32)
    bent = Confirmed(first.block, first.position, tuple(path), first.milestone)
    web.answers[f"/v1/statements/{id}@0"] = (200, cbor.encode([bent.encode()]))
    web.answers[f"/v1/statements/{id}@{first.position + 1}"] = (200, cbor.encode([]))
    ran = checked(tally, web, stolen, "--quick")
    assert (1, "") == (ran.status, ran.out)
    assert "(merkle.root)" in ran.err
    # an honest first page, and the theft kept back: said to be possible
    web.answers[f"/v1/statements/{id}@0"] = (200, cbor.encode([first.encode()]))
    ran = checked(tally, web, stolen, "--quick")
    assert 0 == ran.status
    assert "warning: --quick: a newer statement could have been kept back\n" in ran.err


def test_an_old_answer_is_said_to_be_old(tally: Tally, web: Web) -> None:
    """Broken: last year's answer looks like today's."""
    world = World()
    world.ledger = type(world.ledger)(key("ledger"))
    world.register()
    world.ledger.milestone(1_700_000_000)
    shown_by(web, world)
    tally.write("policy.toml", world.policy_text())
    ran = checked(tally, web, world)
    assert 0 == ran.status, ran.err
    assert "warning: the newest milestone shown is of 2023-11-14T22:13:20Z, " in ran.err


def test_an_offer_that_is_too_old(tally: Tally, web: Web) -> None:
    """Broken: a device seems to be on offer to somebody who can no longer take it."""
    world = World()
    world.register()
    world.state(world.owner, StatementKind.TRANSFERRED, did.did_key(key("buyer").public).encode())
    world.ledger.milestone(START)
    shown_by(web, world)
    tally.write("policy.toml", world.policy_text())
    assert " who has not accepted\n" in checked(tally, web, world).out
    world.ledger.milestone(START + 31 * 86_400)
    shown_by(web, world)
    assert "offered to" not in checked(tally, web, world).out


def test_no_broker_and_no_ledger_behind_it(
    people: People, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: a statement seems posted that nobody has."""
    monkeypatch.setattr(limits, "TIPS_S", 0.5)
    people.done("register")
    ran = people.ask("retire", "--broker", f"{LOOPBACK}:1")
    assert (5, True) == (ran.status, "(broker.unreachable)\nhint: " in ran.err)
    ran = people.ask("retire", "--broker", f"{LOOPBACK}:{broker.port}")
    assert (5, True) == (ran.status, "(ledger.tips)\nhint: " in ran.err)
    for wrong in ("nowhere:0", "a:b", ":1883"):
        assert 2 == people.ask("retire", "--broker", wrong).status
    assert 0 == people.check()[0]


def test_the_password_is_read_from_a_file(people: People) -> None:
    """Broken: the broker's password stands in the list of processes, or in an error."""
    secret = people.folder / "password"
    secret.write_text("hunter2\n")
    at = ("--broker", f"{LOOPBACK}:1", "--password-file", secret)
    people.done("register")
    assert 2 == people.ask("retire", *at).status
    ran = people.ask("retire", *at, "--user", "acme")
    assert 5 == ran.status
    assert "hunter2" not in ran.err
    shown = people.run("device", "retire", "--help").out
    assert "--password " not in shown
