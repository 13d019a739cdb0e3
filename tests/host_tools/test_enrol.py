"""Enrolment of a board: against a scripted console (a simulator), a pseudo-terminal, and the real agent on a virtual
board.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tallystick import credential, did, limits, message
from tallystick.checkpoint import gateway_name
from tallystick.keys import PrivateKey
from tallystick.note import VerifierKey
from tallystick.verify import verify
from tallystick_host import enrol, grants, issuer, issuing
from tallystick_host.authority import Authority
from tallystick_host.console import BoardRefusedError, Console
from tallystick_host.enrol import Enrolled, Settings
from tallystick_host.enrolment import Enrolment
from tallystick_host.errors import RefusedError, UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.issuer import Issuer
from tallystick_host.status_book import StatusBook
from tests.host_tools.conftest import Tally
from tests.host_tools.scripted_board import ScriptedBoard
from tests.world import GatewayLog, World, key


class Desk:
    """An engineer's desk: home folder, enrolment file, and `enrol` for a scripted board."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.home.make()
        self.file = folder / "fleet.json"
        self.gateway = World().log.vkey

    def enrol(
        self,
        board: ScriptedBoard,
        name: str | None = None,
        settings: Settings | None = None,
        issuer_key: PrivateKey | None = None,
        make_login: bool = True,
        kind: str | None = None,
        valid_days: int | None = None,
    ) -> Enrolled:
        console = Console(board, answer_s=0.5)
        console.wake()
        enrolment = Enrolment.load(self.file, or_new=True)
        owner = self.home.owner()
        grant = enrolment.grant() or grants.for_gateway(self.home, self.gateway, owner)
        signer = issuer_key or self.home.issuer()
        name_of = did.did_key(signer.public)
        who = Authority(self.home, owner, Issuer(signer, name_of, name_of), grant)
        return enrol.enrol(
            console,
            enrolment,
            who,
            settings=settings or Settings("broker.local", 1883, 2000, 5, make_login),
            name=name,
            kind=kind,
            valid_days=valid_days,
        )


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_new_board_gets_all_that_it_needs(desk: Desk) -> None:
    """Broken: a board leaves the desk that its gateway does not admit, or that obeys nobody."""
    board = ScriptedBoard()
    now = int(time.time())
    result = desk.enrol(board, "cold-room-3")
    assert 0 == result.next == board.next
    assert desk.home.owner().public.raw.hex() == board.owner
    assert desk.gateway.key.kid.hex() == board.gateway
    settings = {"broker_host": "broker.local", "broker_port": 1883, "interval_ms": 2000, "batch": 5}
    table = json.loads(desk.file.read_text())
    user, password = board.config.pop("broker_user"), board.config.pop("broker_password")
    assert settings == board.config
    assert ["version", "grant", "devices"] == list(table)
    (entry,) = table["devices"]
    assert board.signer.public.kid.hex() == entry["id"]
    assert ("cold-room-3", did.did_key(board.signer.public)) == (entry["name"], entry["did"])
    assert board.credential == base64.b64decode(entry["credential"])
    assert entry["id"] == user
    # what a broker checks the password with, and no more
    _, kind, rounds, salt, digest = entry["login"].split("$")
    hashed = hashlib.pbkdf2_hmac(
        "sha512", str(password).encode(), base64.b64decode(salt), int(rounds)
    )
    assert ("7", hashed) == (kind, base64.b64decode(digest))
    assert str(password) not in desk.file.read_text()
    issued = credential.parse(board.credential)
    # it can be suspended and revoked
    places = StatusBook(desk.home, issuer.load(desk.home)).places(entry["did"])
    assert [issued.status] == [one.reference for one in places]
    issued.signed.verify(desk.home.issuer().public)
    assert (did.did_key(desk.home.issuer().public), entry["did"]) == (issued.issuer, issued.subject)
    assert 0 <= issued.not_before - (now - issuing.CLOCK_SLACK_S) < 60
    grant = message.parse_grant(base64.b64decode(table["grant"]))
    grant.signed.verify(desk.home.owner().public)
    assert (desk.gateway.key, 1) == (grant.key, grant.serial)


def test_enrolling_again_changes_nothing(desk: Desk) -> None:
    """Broken: a tray that is done twice gets new credentials, new files and records that say nothing."""
    board = ScriptedBoard()
    desk.enrol(board, "a")
    before = (desk.file.read_bytes(), desk.file.stat().st_ino, desk.home.grants_path.read_bytes())
    board.said.clear()
    result = desk.enrol(board, "a")
    assert ([], []) == (result.done, result.notes)
    after = (desk.file.read_bytes(), desk.file.stat().st_ino, desk.home.grants_path.read_bytes())
    assert before == after
    assert not [line for line in board.said if line.startswith(("set", "genesis", "run"))]


def test_a_login_at_the_broker(desk: Desk) -> None:
    """Broken: a board is locked out of its broker by its second enrolment, or gets a login that nobody asked for."""
    board = ScriptedBoard()
    desk.enrol(board, "a", make_login=False)
    assert board.config.get("broker_user") is None
    assert ["login at the broker made", "enrolment file brought up to date"] == desk.enrol(
        board, "a"
    ).done
    password = board.config["broker_password"]
    assert [] == desk.enrol(board, "a").done
    # a login that somebody chose stays
    other = ScriptedBoard(key("other"))
    other.config |= {"broker_user": "sensors", "broker_password": "x"}
    assert "login at the broker made" not in desk.enrol(other, "b").done
    assert ("sensors", "x") == (other.config["broker_user"], other.config["broker_password"])
    # a file that lost it gets another one: nobody has the password
    table = json.loads(desk.file.read_text())
    del table["devices"][0]["login"]
    desk.file.write_text(json.dumps(table))
    assert "login at the broker made" in desk.enrol(board, "a").done
    assert password != board.config["broker_password"]


def test_many_boards_share_a_file_and_a_grant(desk: Desk) -> None:
    """Broken: the second board of a tray throws the first one out, or makes the first one's grant old."""
    for number in range(3):
        desk.enrol(ScriptedBoard(key(f"board {number}")), f"board-{number}")
    enrolment = Enrolment.load(desk.file)
    assert ["board-0", "board-1", "board-2"] == [one.name for one in enrolment.devices]
    grant = enrolment.grant()
    assert grant is not None
    assert 1 == grant.serial


def test_what_the_file_says_beside_is_kept(desk: Desk) -> None:
    """Broken: a field that a newer gateway wrote is lost with the next enrolment."""
    desk.enrol(ScriptedBoard(), "a")
    table = json.loads(desk.file.read_text())
    table["site"] = "north"
    table["devices"][0]["shelf"] = 4
    desk.file.write_text(json.dumps(table))
    desk.enrol(ScriptedBoard(key("b")), "b")
    table = json.loads(desk.file.read_text())
    assert ("north", 4, 2) == (table["site"], table["devices"][0]["shelf"], len(table["devices"]))


class Replaying(ScriptedBoard):
    """Answers each challenge with an answer from yesterday."""

    def _challenge(self, rest: str) -> str:
        return super()._challenge("00" * 16)


class ForeignId(ScriptedBoard):
    """Signs with its own key, for another board's id."""

    def _challenge(self, rest: str) -> str:
        signed = message.sign_challenge(
            self.signer, device=b"12345678", nonce=bytes.fromhex(rest), next_seq=None
        )
        return "OK " + signed.hex()


class Rotated(ScriptedBoard):
    """Has another key by now than its first, and stays the same device."""

    def __init__(self, first: PrivateKey, now: PrivateKey) -> None:
        super().__init__(first)
        self.now = now

    def _info(self, rest: str) -> str:
        facts = json.loads(super()._info(rest)[3:])
        return "OK " + json.dumps(facts | {"key": self.now.public.raw.hex()})

    def _challenge(self, rest: str) -> str:
        device, nonce = self.signer.public.kid, bytes.fromhex(rest)
        raw = message.sign_challenge(self.now, device=device, nonce=nonce, next_seq=self.next)
        return "OK " + raw.hex()


def test_a_rotated_board_is_enrolled_again(desk: Desk) -> None:
    """Broken: a board that took a new key cannot get a new gateway, owner or broker any more."""
    board = Rotated(key("board"), key("board"))
    desk.enrol(board, "a")
    before = json.loads(desk.file.read_text())["devices"]
    board.now = key("second")
    result = desk.enrol(board, "a")
    assert [] == result.done
    assert ["its key was rotated: that its first key agreed stands in its chain"] == result.notes
    board.config["interval_ms"] = 7
    assert ["a reading every 2000 ms"] == desk.enrol(board, "b").done[:1]
    (entry,) = json.loads(desk.file.read_text())["devices"]
    assert before == [entry | {"name": "a"}]


def test_a_rotated_board_that_nobody_knows(desk: Desk) -> None:
    """Broken: a board calls itself another one's id, and gets its place in the file."""
    with pytest.raises(RefusedError) as raised:
        desk.enrol(Rotated(key("board"), key("second")), "a")
    assert "enrol.rotated" == raised.value.code
    assert "copy its entry" in raised.value.hint
    assert not desk.file.exists()


class ForeignKey(ScriptedBoard):
    """Names another board's key than the one that signs."""

    def _challenge(self, rest: str) -> str:
        other = key("other")
        raw = message.sign_challenge(
            other, device=other.public.kid, nonce=bytes.fromhex(rest), next_seq=None
        )
        signature = self.signer.sign(message.parse_challenge(raw).signed.signed_bytes)
        return "OK " + (raw[:-64] + signature).hex()


class LowOrder(ScriptedBoard):
    """Names a key whose signatures verify for everything."""

    def _challenge(self, rest: str) -> str:
        answer = bytes.fromhex(super()._challenge(rest)[3:])
        return "OK " + answer.replace(self.signer.public.raw, bytes(32)).hex()


class Echo(ScriptedBoard):
    """Sends back what it was sent."""

    def _challenge(self, rest: str) -> str:
        return "OK " + rest


class NoHex(ScriptedBoard):
    """Answers in words."""

    def _challenge(self, rest: str) -> str:
        return "OK certainly"


@pytest.mark.parametrize(
    ("board", "error", "code"),
    [
        (Replaying, RefusedError, "challenge.nonce"),
        (ForeignId, RefusedError, "challenge.device"),
        (ForeignKey, RefusedError, "signature.wrong"),
        (LowOrder, RefusedError, "key.low-order"),
        (Echo, UndoneError, "challenge.form"),
        (NoHex, UndoneError, "challenge.form"),
    ],
)
def test_a_board_that_does_not_prove_its_key_gets_nothing(
    desk: Desk, board: Callable[[], ScriptedBoard], error: type[Exception], code: str
) -> None:
    """Broken: an issuer certifies a key that its holder never showed."""
    there = board()
    with pytest.raises(error) as caught:
        desk.enrol(there, "x")
    assert code == caught.value.code  # type: ignore[attr-defined]
    assert not desk.file.exists()
    assert not [line for line in there.said if line.startswith(("set", "genesis"))]


def test_a_kid_that_is_enrolled_with_another_key_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: two boards share one id, one topic and one name."""
    desk.enrol(ScriptedBoard(), "a")
    enrolment = Enrolment.load(desk.file)
    held = enrolment.devices[0]
    impostor = did.did_key(key("impostor").public)
    colliding = type("Colliding", (), {**vars(held), "did": impostor, "id": held.id})()
    monkeypatch.setattr(Enrolment, "with_id", lambda self, id: colliding)
    with pytest.raises(RefusedError) as caught:
        desk.enrol(ScriptedBoard(), "a")
    assert "enrol.kid-taken" == caught.value.code


def test_a_board_of_another_owner_is_left_alone(desk: Desk) -> None:
    """Broken: a bought second-hand board is half taken over, or its error says nothing of how to go on."""
    board = ScriptedBoard()
    board.owner = key("somebody").public.raw.hex()
    with pytest.raises(RefusedError) as caught:
        desk.enrol(board, "a")
    assert "enrol.owner" == caught.value.code
    assert f"unset owner {board.signer.public.kid.hex()}" in caught.value.hint
    assert not [line for line in board.said if line.startswith("set")]


def test_a_name_stands_for_one_board(desk: Desk) -> None:
    """Broken: `tally prove cold-room-3` answers for the wrong room."""
    desk.enrol(ScriptedBoard(), "a")
    with pytest.raises(UseError, match="the name 'a' is that of"):
        desk.enrol(ScriptedBoard(key("b")), "a")
    result = desk.enrol(ScriptedBoard(), "new")
    assert ["owner pinned", "renamed from 'a'"] == [result.done[0], result.done[-1]]


def test_genesis_is_never_said_to_a_board_that_has_signed(desk: Desk) -> None:
    """Broken: a board that lost its head starts a second chain, a fork of its own first one."""
    board = ScriptedBoard()
    desk.enrol(board, "a")
    board.next = None
    board.said.clear()
    result = desk.enrol(board)
    assert "genesis" not in board.said
    assert [
        "the board has no head: its gateway's next acknowledgement gives it back"
    ] == result.notes
    fresh_file = Desk(desk.file.parent / "second")
    board.owner, board.gateway, board.serial = None, None, -1
    result = fresh_file.enrol(board)
    assert "genesis" in board.said
    assert [
        "the board has no head: its gateway's next acknowledgement gives it back"
    ] == result.notes
    assert board.next is None


def test_a_credential_that_no_longer_serves_is_issued_anew(desk: Desk) -> None:
    """Broken: a board keeps a credential of yesterday's issuer, and every verdict is UNTRUSTED."""
    board = ScriptedBoard()
    desk.enrol(board, "a", issuer_key=key("old issuer"))
    result = desk.enrol(board, "a")
    assert result.done[0].startswith("credential issued anew: the old one is of did:key:")
    assert did.did_key(desk.home.issuer().public) == credential.parse(board.credential).issuer


def test_the_credential_says_what_kind_of_board_it_is(desk: Desk) -> None:
    """Broken: a policy that asks for certain boards refuses all that were ever enrolled."""
    world, board = World(), ScriptedBoard(key("device"))
    desk.enrol(board, "a", issuer_key=world.issuer, valid_days=3)
    unnamed = credential.parse(board.credential)
    assert unnamed.board is None
    (done,) = desk.enrol(board, "a", issuer_key=world.issuer, kind="LILYGO_T_SIM7000G").done[:1]
    assert "credential issued anew: LILYGO_T_SIM7000G, the old one says no kind of board" == done
    held = credential.parse(board.credential)
    assert ("LILYGO_T_SIM7000G", unnamed.expires) == (held.board, held.expires)
    # the longest of our names, a place in the status lists and an end fit onto a board
    assert len(board.credential) <= limits.BOARD_CREDENTIAL_BYTES
    # nobody has to say it twice, and it outlives a renewal for another reason
    for kind in (None, "LILYGO_T_SIM7000G"):
        assert [] == desk.enrol(board, "a", issuer_key=world.issuer, kind=kind).done
    assert (
        "LILYGO_T_SIM7000G"
        == credential.parse(Enrolment.load(desk.file).devices[0].credential).board
    )
    desk.enrol(board, "a", issuer_key=key("next issuer"))
    assert "LILYGO_T_SIM7000G" == credential.parse(board.credential).board


@pytest.mark.parametrize(
    ("asked", "status"), [("LILYGO_T_SIM7000G", "VERIFIED"), ("ESP32_GENERIC", "UNTRUSTED")]
)
def test_a_policy_asks_for_what_enrolment_certified(desk: Desk, asked: str, status: str) -> None:
    """Broken: what enrolment writes into the credential is not what the policy looks for."""
    world = World()
    board = ScriptedBoard(key("device"))
    desk.enrol(board, "a", issuer_key=world.issuer, kind="LILYGO_T_SIM7000G")
    world.device.open()
    world.device.readings()
    raw = world.proof(1, credential=board.credential)
    trusted = world.policy.replace(boards=(asked,))
    verdict = verify(raw, trusted)
    assert status == str(verdict.status)
    check = verdict.check("board.kind")
    assert check is not None
    assert "LILYGO_T_SIM7000G" in check.detail


def test_the_board_comes_first_and_the_file_last(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken: a board that was pulled off the desk too early stands in the file as if it were done."""

    def pulled(self: ScriptedBoard, rest: str) -> str:
        return "ERROR storage 28"

    monkeypatch.setattr(ScriptedBoard, "_genesis", pulled)
    with pytest.raises(BoardRefusedError, match="the board refused 'genesis': storage: 28"):
        desk.enrol(ScriptedBoard(), "a")
    assert not desk.file.exists()


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", '{"version": 2, "devices": []}', '{"version": 1, "devices": [{}]}', "[" * 9999],
)
def test_a_damaged_enrolment_file_is_not_built_on(desk: Desk, text: str) -> None:
    """Broken: a cut file is replaced by one with a single board, and the fleet is locked out."""
    desk.file.write_text(text)
    with pytest.raises(UseError):
        desk.enrol(ScriptedBoard(), "a")
    assert text == desk.file.read_text()


def test_a_replacement_gateway_gets_a_higher_serial(tally: Tally) -> None:
    """Broken: after a gateway died, every board has to be visited."""
    desk = Desk(tally.cwd)
    desk.enrol(ScriptedBoard(), "a")
    second = key("second gateway").public
    line = str(VerifierKey(gateway_name(second), second))
    argv = ("grant", "--enrolment", desk.file, "--gateway")
    ran = tally(*argv, line)
    assert (0, f"{gateway_name(second)}  serial 2\n") == (ran.status, ran.out)
    again = tally(*argv, line, "--json")
    assert {"schema": 1, "gateway": second.kid.hex(), "serial": 2} == {
        name: value for name, value in json.loads(again.out).items() if name != "origin"
    }
    assert "nothing changed" in again.err
    back = tally(*argv, str(desk.gateway))
    assert f"{desk.gateway.name}  serial 3\n" == back.out
    grant = Enrolment.load(desk.file).grant()
    assert grant is not None
    grant.signed.verify(desk.home.owner().public)
    assert (3, desk.gateway.key) == (grant.serial, grant.key)
    lost = tally(*argv, "nonsense")
    assert (2, "") == (lost.status, lost.out)


def test_a_lost_list_of_grants_is_not_begun_anew(tally: Tally) -> None:
    """Broken: a new grant gets a serial that the boards have seen, and they refuse it."""
    desk = Desk(tally.cwd)
    desk.enrol(ScriptedBoard(), "a")
    desk.home.grants_path.write_text("{")
    second = GatewayLog(key("second gateway"))
    ran = tally("grant", "--enrolment", desk.file, "--gateway", str(second.vkey))
    assert 5 == ran.status
    assert "is not a list of grants\nhint: restore it\n" in ran.err


@contextmanager
def _on_a_terminal(board: ScriptedBoard) -> Iterator[str]:
    """The scripted board behind a pseudo-terminal; gives its name."""
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    ended = threading.Event()

    def serve() -> None:
        pending = b""
        while not ended.is_set():
            try:
                pending += os.read(ours, 4096)
            except OSError:
                return
            *lines, pending = pending.split(b"\n")
            for line in lines:
                board.write(line + b"\n")
            os.write(ours, board.read(0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(theirs)
    finally:
        ended.set()
        os.write(theirs, b"\n")
        thread.join(5)
        os.close(ours)
        os.close(theirs)


def test_the_command_over_a_serial_port(tally: Tally) -> None:
    """Broken: the logic is right, and the command that engineers type is not."""
    board = ScriptedBoard()
    tally("init")
    with _on_a_terminal(board) as port:
        argv = ("enrol", "--enrolment", "fleet.json", "--port", port, "--name", "cold-room-3")
        more = (
            "--gateway",
            str(World().log.vkey),
            "--broker",
            "broker.local",
            "--expires",
            "365",
        )
        ran = tally(*argv, *more)
        again = tally(*argv, "--json")
    id, board_did = board.signer.public.kid.hex(), did.did_key(board.signer.public)
    assert (0, f"{id}  {board_did}  cold-room-3\n") == (ran.status, ran.out)
    assert [
        f"waiting for {port}",
        "  owner pinned",
        "  broker broker.local:1883",
        "  credential issued",
        f"  gateway {World().log.signer.public.kid.hex()} granted, serial 1",
        "  login at the broker made",
        "  chain begun",
        "  added to the enrolment file",
        "  started",
    ] == ran.err.splitlines()
    issued = credential.parse(board.credential)
    assert 365 * 86_400 + issuing.CLOCK_SLACK_S == (issued.expires or 0) - issued.not_before
    assert "run" in board.said
    assert ([], 0) == (json.loads(again.out)["changed"], json.loads(again.out)["next"])
    assert f"{id} is enrolled already; nothing changed\n" in again.err
    secret = (tally.home / "owner.key").read_text().splitlines()[1]
    assert secret not in ran.out + ran.err + " ".join(board.said)


def test_a_port_that_is_not_there(tally: Tally) -> None:
    """Broken: the commonest mistake at the desk ends in pyserial's traceback."""
    tally("init")
    ran = tally("enrol", "--enrolment", "f.json", "--port", "/dev/tty-nowhere")
    assert 5 == ran.status
    *_, first, hint = ran.err.splitlines()
    assert (
        "error: cannot open the port '/dev/tty-nowhere': no such file or directory (port.open)"
    ) == first
    assert hint.startswith("hint: ports with a USB device: ")


@pytest.mark.usefixtures("micropython64")
def test_the_real_agent_on_a_virtual_board(tally: Tally) -> None:
    """Broken: this command and the boards' firmware no longer understand each other."""
    tally("init")
    argv = ("enrol", "--enrolment", "fleet.json", "--virtual", "board", "--json", "--name", "one")
    more = ("--gateway", str(World().log.vkey), "--broker", "127.0.0.1:1", "--interval", "1000")
    first = tally(*argv, *more)
    assert 0 == first.status, first.err
    facts = json.loads(first.out)
    assert (0, "one") == (facts["next"], facts["name"])
    assert "chain begun" in facts["changed"]
    # a simulator is certified as one, and as nothing else
    assert "VIRTUAL" == Enrolment.load(tally.cwd / "fleet.json").devices[0].parsed().board
    lie = tally(*argv, *more, "--board", "ESP32_GENERIC")
    assert (2, "error: a virtual board is no ESP32_GENERIC\nhint: leave --board out\n") == (
        lie.status,
        lie.err[lie.err.index("error:") :],
    )
    again = json.loads(tally(*argv, *more).out)
    assert (facts["id"], []) == (again["id"], again["changed"])


@pytest.mark.usefixtures("micropython64")
def test_a_virtual_board_that_runs_already(tally: Tally) -> None:
    """Broken: a locked folder ends in silence until a timeout."""
    import fcntl

    tally("init")
    (tally.cwd / "board").mkdir()
    with (tally.cwd / "board" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = tally("enrol", "--enrolment", "fleet.json", "--virtual", "board")
    assert 5 == ran.status
    assert "a board runs in 'board' already (virtual.ended)\n" in ran.err
    assert ran.err.endswith("hint: a board that runs is enrolled over its port: --port DIR/tty\n")


def test_ctrl_c_during_enrolment_leaves_no_board_behind(tally: Tally) -> None:
    """Broken: an interrupted command keeps the board's folder locked."""
    tally("init")
    silent = tally.write("silent.py", "import time\ntime.sleep(60)\n")
    argv = [sys.executable, "-m", "tallystick_host", "enrol", "--enrolment", "f", "--virtual", "b"]
    argv += ["--gateway", str(World().log.vkey)]
    running = subprocess.Popen(
        argv,
        cwd=tally.cwd,
        env=tally.environment({"TALLY_VIRTUAL_BOARD": str(silent)}),
        stderr=subprocess.PIPE,
    )
    assert running.stderr is not None
    assert b"waiting for the virtual board in b\n" == running.stderr.readline()
    running.send_signal(2)
    _, err = running.communicate(timeout=20)
    assert (130, b"error: interrupted") == (running.returncode, err.strip())
    children = subprocess.run(["pgrep", "-f", str(silent)], capture_output=True, check=False)
    assert b"" == children.stdout
