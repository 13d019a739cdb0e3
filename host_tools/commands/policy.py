"""`tally policy`: trust, show, check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import rich_click as click

from tallystick import policy as library
from tallystick.policy import BRIDGE_STATES, Bridge, Log, Witness
from tallystick_host import policy_file, terminal
from tallystick_host.errors import UseError
from tallystick_host.home import Home
from tallystick_host.policy_file import Role
from tallystick_host.words import columns, plural, shown, shown_path

__all__ = ["command"]

_POLICY = click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    help="The policy; default: policy.toml in the home folder.",
)


@click.group("policy")
def command() -> None:
    """Whom to trust: issuers, gateways, ledgers, bridges, witnesses.

    \b
    tally policy show
    tally policy check
    tally policy trust gateway "$(tally-gateway identity)" --operator Acme
    """


@command.command("trust")
@click.argument("role", type=click.Choice(get_args(Role)))
@click.argument("line")
@click.option("--name", default="", help="What verdicts call it.")
@click.option("--operator", default="", help="Who runs it (not for an issuer).")
@click.option(
    "--state",
    type=click.Choice([str(one) for one in BRIDGE_STATES]),
    help="How far a bridge's transaction must have got; default: safe.",
)
@click.option(
    "--depth",
    type=click.IntRange(1),
    metavar="BLOCKS",
    help="Blocks on top that make it safe, where the other ledger does not say what is.",
)
@_POLICY
@click.pass_obj
def trust(
    home: Home,
    role: Role,
    line: str,
    name: str,
    operator: str,
    state: str | None,
    depth: int | None,
    policy_path: Path | None,
) -> None:
    """Trust LINE: a verifier key (name+hex+base64), behind it a bridge's account, or the did:key of an issuer.

    The line comes from whoever runs the gateway or the ledger, on a way that you trust: nothing is trusted on first
    use.

    \b
    tally policy trust gateway "$(tally-gateway identity)" --operator Acme
    tally policy trust ledger "$(tally-ledger identity)" --name harbour
    tally policy trust bridge "$(tally-ledger bridge identity)" --operator Harbour
    tally policy trust issuer did:key:z6Mk... --name Acme
    """
    path = policy_path or home.policy_path
    given = {"state": state, "depth": depth}
    asked = {key: value for key, value in given.items() if value is not None}
    if asked and role != "bridge":
        raise UseError("--state and --depth are for a bridge")
    done = policy_file.trust(path, role, line, name=name, operator=operator, **asked)
    short = done.line.partition("+")[0]
    if done.added:
        terminal.talk(f"{role} {short} is trusted now, in {shown_path(path)}")
    else:
        terminal.talk(f"{role} {short} is trusted already; nothing changed")


@command.command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_POLICY
@click.pass_obj
def show(home: Home, as_json: bool, policy_path: Path | None) -> None:
    """Show whom the policy trusts.

    \b
    tally policy show --json | jq .gateways
    """
    given = policy_file.read(policy_path or home.policy_path)
    if as_json:
        terminal.json_line(policy_file.facts(given))
        return
    rows = [["issuer", one.name or "-", "-", one.did] for one in given.issuers]
    logs: dict[str, Sequence[Log | Witness]] = {
        "gateway": given.gateways,
        "ledger": given.ledgers,
        "bridge": given.bridges,
        "witness": given.witnesses,
    }
    for role, entries in logs.items():
        rows += [[role, log.name or "-", log.operator or "-", _key(log)] for log in entries]
    for line in columns([["role", "name", "operator", "key"], *rows]):
        terminal.data(line)
    terminal.data(f"required: {' '.join(given.required)}")


def _key(log: Log | Witness) -> str:
    if not isinstance(log, Bridge):
        return str(log.vkey)
    depth = f", {log.depth} blocks deep where none is called safe" if log.depth else ""
    return f"{log.vkey} {log.account} ({log.state}{depth})"


@command.command("check")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@_POLICY
@click.pass_obj
def check(home: Home, as_json: bool, policy_path: Path | None) -> int:
    """Explain what is wrong with the policy, line by line, and what is worth a second look.

    Exit status 0 if it can be used, 2 if not.

    \b
    tally policy check
    tally policy check --policy court.toml --json | jq .problems
    """
    path = policy_path or home.policy_path
    text = policy_file.text_of(path).encode()
    problems = library.problems(text)
    doubts = [] if problems else list(library.doubts(library.parse(text)))
    if as_json:
        found = [
            {"line": one.line, "code": one.code, "detail": one.detail, "hint": one.hint}
            for one in problems
        ]
        terminal.json_line(
            {"schema": 1, "usable": not problems, "problems": found, "doubts": doubts}
        )
        return 2 if problems else 0
    lines = text.decode().splitlines()
    for one in problems:
        where = f"{shown_path(path)}:{one.line}" if one.line else shown_path(path)
        terminal.data(f"{where}: {shown(one.detail, 2000)} ({one.code})")
        if one.line and one.line <= len(lines):
            terminal.data(f"  | {shown(lines[one.line - 1])}")
        if one.hint:
            terminal.data(f"  hint: {shown(one.hint, 2000)}")
    for doubt in doubts:
        terminal.data(f"look twice: {shown(doubt, 2000)}")
    if problems:
        terminal.error(
            f"{plural(len(problems), 'mistake')} in {shown_path(path)}", problems[0].code
        )
        return 2
    terminal.data(f"{shown_path(path)} can be used")
    return 0
