"""`tally` as a whole: wrong use, interruption, closed pipes, what is imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.host_tools.conftest import Tally
from tests.world import World

_COMMANDS = ["init", "policy", "enrol", "grant", "prove", "verify", "inspect"]


@pytest.mark.parametrize(
    ("argv", "error", "hint"),
    [
        (["frobnicate"], "no such command 'frobnicate'", "tally --help"),
        (["verify"], "missing argument 'FILE...'", "tally verify --help"),
        (["verify", "--frob", "x"], "no such option '--frob'", "tally verify --help"),
        (
            ["policy", "trust", "friend", "x"],
            "invalid value for '{gateway|",
            "tally policy trust --help",
        ),
        (["prove", "x", "1"], "'x' is neither an id nor a did:key", "--enrolment FILE finds"),
        (["prove", "0123456789abcdef", "9..3"], "'9..3' ends before it starts", ""),
        (
            ["prove", "0123456789abcdef", "noon"],
            "'noon' is neither a seq, a range",
            "for example 40",
        ),
        (
            ["prove", "0123456789abcdef", "2026-11-20T14:00"],
            "is a time without a zone",
            "end it in Z",
        ),
        (["prove", "0123456789abcdef", "1"], "one of --gateway and --dir is needed", ""),
        (
            ["enrol", "--enrolment", "f", "--port", "x", "--virtual", "y"],
            "one of --port and --virtual, not both",
            "",
        ),
        (["enrol", "--enrolment", "f", "--port", "x"], "no key ", "tally init makes one"),
        (["grant", "--gateway", "x", "--enrolment", "f"], "no key ", "tally init makes one"),
    ],
)
def test_wrong_use_is_exit_2_with_a_reason(
    tally: Tally, argv: list[str], error: str, hint: str
) -> None:
    """Broken: a typing mistake ends in a traceback, or in the exit status of a verdict."""
    ran = tally(*argv)
    assert (2, "") == (ran.status, ran.out)
    first, *rest = ran.err.splitlines()
    assert first.startswith("error: ")
    assert error in first
    assert not first.endswith(".")
    assert any(line.startswith(f"hint: {hint}") for line in rest) or not hint


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_help_has_an_example(tally: Tally, command: str) -> None:
    """Broken: help that does not show how a command is typed."""
    ran = tally(command, "--help")
    assert (0, "") == (ran.status, ran.err)
    assert f" tally {command} " in ran.out.split("Usage:")[1].partition("\n")[2]


def test_version_and_help(tally: Tally) -> None:
    """Broken: a bug report cannot say which version it is about."""
    assert tally("--version").out.startswith("tally 0.")
    out = tally("--help").out
    for command in _COMMANDS:
        assert f" {command} " in out
    assert "_TALLY_COMPLETE=bash_source" in out


def test_completion_script(tally: Tally) -> None:
    """Broken: the line that help gives for completion does nothing."""
    argv = [
        sys.executable,
        "-c",
        "import sys; from tallystick_host.cli import main; sys.exit(main())",
    ]
    env = tally.environment({"_TALLY_COMPLETE": "bash_source"})
    done = subprocess.run(argv, env=env, capture_output=True, check=True, text=True)
    assert "complete -o nosort -F _tally_completion tally" in done.stdout


def test_interruption_is_exit_130_without_a_traceback(tally: Tally, world: World) -> None:
    """Broken: Ctrl-C looks like a crash, or like a verdict."""
    policy = tally.write("policy.toml", world.policy_text())
    data = world.proof(0, 2)
    for number in range(400):
        tally.write(f"many/{number:03}.tally", data)
    argv = [
        sys.executable,
        "-m",
        "tallystick_host",
        "verify",
        "--json",
        "many",
        "--policy",
        str(policy),
    ]
    running = subprocess.Popen(
        argv,
        cwd=tally.cwd,
        env=tally.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stdout.readline().startswith(b"{")
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert 130 == running.returncode
    assert b"error: interrupted" == err.strip()


def test_a_reader_that_leaves_early_gets_no_traceback(tally: Tally, world: World) -> None:
    """Broken: `tally verify ... | head -1` prints a traceback, or exits like TAMPERED."""
    policy = tally.write("policy.toml", world.policy_text())
    data = world.proof(0, 2)
    for number in range(100):
        tally.write(f"many/{number:03}.tally", data)
    ours, theirs = os.pipe()
    os.close(ours)
    argv = [sys.executable, "-m", "tallystick_host", "verify", "many", "--policy", str(policy)]
    done = subprocess.run(
        argv,
        cwd=tally.cwd,
        env=tally.environment(),
        stdout=theirs,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(theirs)
    assert (141, b"") == (done.returncode, done.stderr)


def test_verify_loads_only_what_it_needs(tally: Tally, world: World) -> None:
    """Broken: `tally verify` of one file waits for a terminal library, an HTTP client and a serial driver."""
    policy = tally.write("policy.toml", world.policy_text())
    tally.write("a.tally", world.proof(1))
    code = (
        "import sys; from tallystick_host.cli import main\n"
        f"status = main(['verify', '-q', 'a.tally', '--policy', {str(policy)!r}])\n"
        "heavy = {'rich', 'httpx', 'serial', 'platformdirs', 'asyncio', 'email'} & set(sys.modules)\n"
        "print(status, sorted(heavy))"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tally.cwd,
        env=tally.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "0 []" == done.stdout.strip()
    assert 5 > time.monotonic() - started


def test_a_file_system_that_refuses_is_our_error(tally: Tally) -> None:
    """Broken: a full disk or a read-only folder ends in a traceback."""
    blocked = tally.write("blocked", b"a file where a folder should be")
    ran = tally("--home", blocked / "home", "init")
    assert 5 == ran.status
    assert f"error: cannot make the folder '{blocked}/home': not a directory\n" == ran.err
