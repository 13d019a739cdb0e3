"""`tally ledger`: show, path, tips, export."""

from __future__ import annotations

import re
from pathlib import Path

import rich_click as click

from tallystick import block, cbor, merkle
from tallystick.errors import TallystickError
from tallystick.fields import octets
from tallystick.milestone import Confirmed
from tallystick.proof import parse_cosigned
from tallystick_host import (
    files,
    inspection,
    ledger_view,
    outline,
    policy_file,
    source,
    terminal,
)
from tallystick_host.errors import RefusedError, UndoneError, UseError
from tallystick_host.home import Home
from tallystick_host.words import plural, rfc3339, shown_path

__all__ = ["command"]

_URL = click.option(
    "--ledger", "ledger_url", required=True, metavar="URL", help="The HTTP side of a node."
)
_POLICY = click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    help="The policy; default: policy.toml in the home folder.",
)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object.")
_OUTPUT = click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Into this new file."
)


@click.group("ledger")
def command() -> None:
    """Look into a ledger: any node of it, one that follows as well.

    Whatever is shown as confirmed was proven here, by the key of the ledger that the policy trusts.

    \b
    tally ledger show --ledger http://ledger.local:8081
    tally ledger path 3f0c... --ledger http://ledger.local:8081 -o anchor.confirmed
    """


@command.command("show")
@click.argument("which", metavar="[BLOCK]", required=False)
@_URL
@_POLICY
@_JSON
@click.pass_obj
def show(
    home: Home, which: str | None, ledger_url: str, policy_path: Path | None, as_json: bool
) -> None:
    """Show a block, or the newest milestone: what it says, and where it stands in the ledger.

    \b
    tally ledger show --ledger http://ledger.local:8081
    tally ledger show 3f0c... --ledger http://ledger.local:8081 --json | jq .position
    """
    trusted = policy_file.read(policy_path or home.policy_path)
    if which is None:
        log, stone = ledger_view.newest(ledger_url, trusted)
        facts = inspection.block_facts(stone.block)
        words = f"newest milestone of {log.vkey.name}, signed by its key"
        _say({"state": "milestone", **facts}, words, as_json)
        return
    name = _id(which)
    raw = source.block(ledger_url, name)
    if block.block_id(raw).hex() != name:
        raise RefusedError("what came is another block", code="receipt.block")
    try:
        confirmed = ledger_view.proven(ledger_url, trusted, name)
    except UndoneError as error:
        if error.code != "source.refused" or "no milestone" not in error.detail:
            raise
        facts = inspection.block_facts(block.parse(raw))
        _say({"state": "attached", **facts}, "attached; no milestone has confirmed it yet", as_json)
        return
    stone = confirmed.milestone
    facts = {"state": "confirmed", **_place(confirmed), **inspection.block_facts(confirmed.block)}
    words = f"confirmed by milestone {stone.index}, not after {rfc3339(stone.time)}"
    _say(facts, words, as_json)


@command.command("path")
@click.argument("which", metavar="BLOCK")
@_URL
@_POLICY
@_OUTPUT
@_JSON
@click.pass_obj
def path(
    home: Home,
    which: str,
    ledger_url: str,
    policy_path: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Show a block's way to the root that the ledger signed; with -o, keep it as a proof of its own (CBOR
    `confirmed`, which tally inspect reads).

    \b
    tally ledger path 3f0c... --ledger http://ledger.local:8081
    """
    trusted = policy_file.read(policy_path or home.policy_path)
    name = _id(which)
    confirmed = ledger_view.proven(ledger_url, trusted, name)
    cosigned = _witnesses(confirmed, ledger_url, name)
    facts = {
        **_place(confirmed),
        "path": [one.hex() for one in confirmed.path],
        "root": confirmed.milestone.root.hex(),
        "size": confirmed.milestone.size,
        "cosigned by": cosigned,
        "bytes": len(confirmed.encode()),
    }
    if output is not None:
        files.write_new(output, confirmed.encode())
        terminal.talk(f"written to {shown_path(output)}")
    _say(facts, f"block {name}", as_json)


@command.command("tips")
@_URL
@_JSON
def tips(ledger_url: str, as_json: bool) -> None:
    """Show the blocks that wait for a milestone and on which nobody has built. They are hints: nothing proves them.

    \b
    tally ledger tips --ledger http://ledger.local:8081
    """
    try:
        value = cbor.decode(source.tips(ledger_url))
        if not isinstance(value, list):
            raise UndoneError("what came are no tips", code="ledger.tips")
        found = [octets(one, "tip", 32).hex() for one in value]
    except TallystickError as error:
        raise UndoneError(f"what came are no tips: {error.detail}", code=error.code) from error
    if as_json:
        terminal.json_line({"schema": 1, "tips": found})
        return
    for one in found:
        terminal.data(one)


@command.command("export")
@_URL
@_POLICY
@_OUTPUT
@_JSON
@click.pass_obj
def export(
    home: Home, ledger_url: str, policy_path: Path | None, output: Path | None, as_json: bool
) -> None:
    """Fetch all confirmed blocks into a file, and prove that they are all, unchanged and in order.

    The file is a CBOR sequence (RFC 8742) of byte strings, a block each, by position. It gets its name when the blocks
    lead to the root that the newest milestone signs.

    \b
    tally ledger export --ledger http://ledger.local:8081 -o harbour.blocks
    """
    trusted = policy_file.read(policy_path or home.policy_path)
    log, stone = ledger_view.newest(ledger_url, trusted)
    target = output or Path(f"{log.ledger.hex()}-{stone.index}.blocks")
    if target.exists():
        raise UseError(f"{shown_path(target)!r} exists already", hint="choose another name")
    draft = target.with_name(f".{target.name}.new")
    count = 0
    try:
        with draft.open("wb") as file, ledger_view.progress() as step:
            for _, raw in ledger_view.every(ledger_url, stone, step):
                file.write(cbor.encode(raw))
                count += 1
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)
    if as_json:
        terminal.json_line(
            {
                "schema": 1,
                "file": shown_path(target),
                "blocks": count,
                "milestone": stone.index,
                "root": stone.root.hex(),
                "time": rfc3339(stone.time),
            }
        )
        return
    terminal.talk(f"{plural(count, 'block')}, as of milestone {stone.index}, {rfc3339(stone.time)}")
    terminal.data(shown_path(target))


def _place(confirmed: Confirmed) -> dict[str, object]:
    stone = confirmed.milestone
    return {
        "position": confirmed.position,
        "confirmed by milestone": stone.index,
        "not after": rfc3339(stone.time),
    }


def _witnesses(confirmed: Confirmed, url: str, name: str) -> list[str]:
    """Names in the lines of the cosigned checkpoint, whose path was checked; the lines themselves were not."""
    raw = source.cosigned(url, name)
    if raw is None:
        return []
    found, stone = parse_cosigned(raw), confirmed.milestone
    merkle.verify_consistency(
        *(stone.size, stone.root, found.checkpoint.size, found.checkpoint.root, found.path)
    )
    return [line.name for line in found.checkpoint.note.signatures[1:]]


def _say(facts: dict[str, object], words: str, as_json: bool) -> None:
    if as_json:
        terminal.json_line({"schema": 1, **facts})
        return
    terminal.data(words)
    for line in outline.outline(facts, "  "):
        terminal.data(line)


def _id(text: str) -> str:
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise UseError(f"{text[:80]!r} is not the id of a block", hint="64 hexadecimal digits")
    return text.lower()
