"""`tally device history` and `check`: what the ledger says of a device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import rich_click as click

from tallystick import limits as library_limits
from tallystick.statement import Effect, Status
from tallystick_host import posting, terminal
from tallystick_host.home import Home
from tallystick_host.lifecycle import Life
from tallystick_host.posting import asked_options
from tallystick_host.standing import check_facts, effect_facts, exit_status, sentence, stale
from tallystick_host.words import columns, plural, rfc3339, shown

__all__ = ["check", "history"]

_QUICK = click.option(
    "--quick",
    is_flag=True,
    help="Ask for the device's statements alone: none can be false, but one could be kept back.",
)


@click.command("history")
@asked_options
@_QUICK
@click.pass_obj
def history(
    home: Home,
    device: str,
    ledger_url: str,
    enrolment_path: Path | None,
    held_path: Path | None,
    policy_path: Path | None,
    as_json: bool,
    quick: bool,
) -> None:
    """Every statement about DEVICE in the ledger's order: what it did, or why it did nothing.

    All blocks of the ledger are fetched, and their ids must lead to the root in its newest milestone.

    \b
    tally device history did:key:z6Mk... --ledger http://ledger.local:8081
    tally device history cold-room-3 --enrolment fleet.json --json \\
                 --ledger http://ledger.local:8081 | jq 'select(.took)'
    """
    asked = posting.asked(home, device, ledger_url, enrolment_path, held_path, policy_path)
    life = asked.life(complete=not quick)
    if as_json:
        for one in life.history.effects:
            terminal.json_line(effect_facts(life, one))
    else:
        rows = [_row(one) for one in life.history.effects]
        for line in columns(rows) if rows else ["no statements"]:
            terminal.data(line)
    terminal.talk(_as_of(life))


@click.command("check")
@asked_options
@_QUICK
@click.pass_obj
def check(
    home: Home,
    device: str,
    ledger_url: str,
    enrolment_path: Path | None,
    held_path: Path | None,
    policy_path: Path | None,
    as_json: bool,
    quick: bool,
) -> int:
    """May I buy this device? Its status, owner and last inspection, from the ledger's blocks alone.

    The answer is good as of the milestone that it names: look how old that is. With --quick a report of a theft could
    be kept back by whoever answers.

    \b
    0  active
    4  suspended, stolen or retired
    5  not registered, or it cannot be decided

    \b
    tally device check did:key:z6Mk... --ledger http://ledger.local:8081
    """
    asked = posting.asked(home, device, ledger_url, enrolment_path, held_path, policy_path)
    life = asked.life(complete=not quick)
    status = exit_status(life)
    warned = stale(life)
    if warned:
        terminal.warning(warned)
    if not life.view.complete:
        terminal.warning("--quick: a newer statement could have been kept back")
    if as_json:
        terminal.json_line(check_facts(life))
        return status
    for line in _standing(life):
        terminal.data(line)
    terminal.talk(_as_of(life))
    return status


def _standing(life: Life) -> Iterator[str]:
    colour = {Status.ACTIVE: "green"}.get(life.status, "red")
    yield f"{life.device}: {terminal.styled(str(life.status), colour)}: {sentence(life)}"
    seen = life.inspection
    rows = [
        ["issuer", "-" if life.issuer is None else life.issuer.name or life.issuer.did],
        ["owner", life.history.owner or "-"],
    ]
    if life.offered_to is not None:
        rows.append(["offered to", f"{life.offered_to}, who has not accepted"])
    if seen is None:
        rows.append(["inspected", "never"])
    else:
        result = shown(seen.statement.args[0].decode(), library_limits.REASON_BYTES)
        rows.append(["inspected", f"{rfc3339(seen.time)}: {result}"])
    yield from columns(rows, indent="  ")


def _row(effect: Effect) -> list[str]:
    args = [_arg(one) for one in effect.statement.args[:1]]
    return [
        str(effect.position),
        rfc3339(effect.time),
        effect.statement.kind.name.lower(),
        " ".join(args) or "-",
        "took effect" if effect.took else f"no effect: {effect.detail}",
    ]


def _arg(raw: bytes) -> str:
    return shown(raw.decode(), library_limits.REASON_BYTES)


def _as_of(life: Life) -> str:
    stone = life.view.newest
    count = plural(len(life.history.effects), "statement")
    how = f"all {stone.size} blocks" if life.view.complete else "what the ledger shows"
    name = life.view.ledger.operator or life.view.ledger.vkey.name
    return (
        f"{count}, as of milestone {stone.index} of {rfc3339(stone.time)} by {name}, out of {how}"
    )
