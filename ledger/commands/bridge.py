"""`tally-ledger bridge`: the ledger on a site's broker whose anchors stand on an EVM-speaking ledger."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
import structlog
from click.core import ParameterSource

from tallystick_ledger.commands.options import (
    AS_JSON,
    BROKER,
    CA_FILE,
    DIR,
    HTTP,
    PASSWORD_FILE,
    USER,
    login,
)
from tallystick_ledger.words import log_to_stderr

__all__ = ["command"]

_INTERVAL_S = 10.0
_JOIN_S = 12.0  # a question to the other ledger may be under way
_READINGS = click.option(
    "--readings-per-record",
    type=click.IntRange(1, 1_024),
    default=1,
    show_default=True,
    help="How many readings a record of this site holds, for what a million of them cost.",
)


@click.group("bridge")
def command() -> None:
    """Anchor to Conflux eSpace or another EVM-speaking ledger: what a gateway submits, and embedded ledgers.

    \b
    tally-ledger bridge init --dir bridge --chain 1030
    tally-ledger bridge allow --dir bridge "$(tally-gateway identity --dir gateway)"
    tally-ledger bridge evm --dir bridge --broker 127.0.0.1:1883 --rpc-file rpc.url --budget 0.5
    """


@command.command("init")
@DIR
@click.option(
    "--chain", required=True, type=click.IntRange(1, 2**53 - 1), help="Id of the other ledger."
)
@click.option("--name", default="bridge", help="For people; stands in the genesis block.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="File with the key that pays (64 hex digits, mode 0600); else a new key is made.",
)
def init(folder: Path, chain: int, name: str, key_file: Path | None) -> None:
    """Make a new bridge: its key as a ledger, its key that pays, and the line that a policy trusts."""
    from tallystick_ledger.bridge import libraries
    from tallystick_ledger.bridge.folder import BridgeFolder

    libraries.need()
    place = BridgeFolder(folder)
    place.create(name, int(time.time()), chain, key_file)
    line = place.identity()
    click.echo(
        f"bridge made in '{folder}': back up ledger.key and payer.key, and send coins to"
        f" {line.split()[1]}",
        err=True,
    )
    click.echo(line)


@command.command("identity")
@DIR
def identity(folder: Path) -> None:
    """Print the line by which a policy trusts this bridge; a gateway takes its first word as the ledger's."""
    from tallystick_ledger.bridge.folder import BridgeFolder

    click.echo(BridgeFolder(folder).identity())


@command.command("allow")
@DIR
@click.argument("line")
def allow(folder: Path, line: str) -> None:
    """Pay for the anchors of the gateway with this verifier key. A running bridge notices."""
    from tallystick_ledger.bridge.folder import BridgeFolder

    place = BridgeFolder(folder)
    place.identity()  # it must be a bridge
    added = place.gateways.add(line)
    name = line.strip().partition("+")[0]
    click.echo(f"{name}: {'paid for from now on' if added else 'on the list already'}", err=True)


@command.command("evm")
@DIR
@BROKER
@HTTP
@click.option("--rpc", metavar="URL", help="JSON-RPC of a node of the other ledger.")
@click.option(
    "--rpc-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="File with that URL, for one that holds a login or a token.",
)
@click.option(
    "--budget",
    required=True,
    metavar="COINS",
    help="What a day may cost, in the other ledger's coin; it sets how often an anchor is posted.",
)
@click.option(
    "--confirm-at",
    type=click.Choice(["executed", "safe", "final"]),
    default="safe",
    show_default=True,
    help="How far a transaction must have got before its anchor counts as confirmed.",
)
@click.option(
    "--depth",
    type=click.IntRange(0, 1_000_000),
    default=0,
    metavar="BLOCKS",
    help="Blocks on top that make it safe, where the other ledger does not say what is.",
)
@click.option(
    "--follow",
    multiple=True,
    metavar="LINE",
    help="Post the checkpoints of this embedded ledger too; may be repeated.",
)
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 86_400),
    default=_INTERVAL_S,
    show_default=True,
    metavar="SECONDS",
    help="Time between the bridge's own milestones; they cost nothing.",
)
@click.option(
    "--adopt-nonce",
    is_flag=True,
    help="Go on behind transactions of the account that this folder does not know.",
)
@_READINGS
@USER
@PASSWORD_FILE
@CA_FILE
@click.pass_context
def evm(
    ctx: click.Context,
    folder: Path,
    broker: tuple[str, int],
    http: tuple[str, int] | None,
    rpc: str | None,
    rpc_file: Path | None,
    budget: str,
    confirm_at: str,
    depth: int,
    follow: tuple[str, ...],
    interval: float,
    adopt_nonce: bool,
    readings_per_record: int,
    user: str | None,
    password_file: Path | None,
    ca_file: Path | None,
) -> None:
    """Run the bridge in the foreground until SIGTERM or SIGINT. docs/bridge.md tells all of it."""
    from tallystick.account import State
    from tallystick.endpoint import Endpoint
    from tallystick_ledger.bridge import budget as amounts
    from tallystick_ledger.bridge import endpoint as endpoints
    from tallystick_ledger.bridge import evm as chain
    from tallystick_ledger.bridge import libraries
    from tallystick_ledger.bridge.folder import BridgeFolder
    from tallystick_ledger.bridge.node import BridgeNode
    from tallystick_ledger.bridge.outbox import Outbox
    from tallystick_ledger.bridge.pages import BridgePages
    from tallystick_ledger.bridge.poster import Poster, Terms
    from tallystick_ledger.bridge.watch import Watch, followed
    from tallystick_ledger.http import Server, application
    from tallystick_ledger.loop import Loop
    from tallystick_ledger.mqtt import Link

    if (rpc is None) == (rpc_file is None):
        raise click.UsageError("give --rpc URL or --rpc-file FILE")
    given = ctx.get_parameter_source("rpc") is ParameterSource.COMMANDLINE
    if rpc_file is not None:
        endpoint = endpoints.of_file(rpc_file)
    else:
        endpoint = endpoints.of_argument(rpc or "") if given else Endpoint.parse(rpc or "")
    terms = Terms(amounts.units(budget), depth, adopt_nonce)
    ledgers = [followed(line) for line in follow]
    door = login(broker, user, password_file, ca_file)
    libraries.load()
    log_to_stderr()
    log = structlog.get_logger("bridge")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    place = BridgeFolder(folder)
    with ExitStack() as stack:
        stack.enter_context(place.ledger.locked())
        key, payer, ledger = place.ledger.key(), place.payer(), place.ledger.ledger()
        link = Link.of_ledger(door, ledger)
        watch = stack.enter_context(Watch(door, ledger, ledgers))
        loop = Loop(
            place.ledger.database,
            key,
            link,
            interval,
            stop,
            make_node=lambda store, signer, clock: BridgeNode(
                store,
                signer,
                clock,
                Outbox.connect(place.database),
                place.gateways,
                State(confirm_at),
            ),
        )
        node = chain.Node(endpoint)
        poster = Poster(place.database, payer, node, terms, stop, watch.newest)
        if http is not None:
            make = partial(BridgePages, place=place, readings_per_record=readings_per_record)
            app = application(place.ledger, lambda: link.connected, make)
            server = stack.enter_context(Server(app, *http))
            log.info("http", host=http[0], port=server.port)
        stack.enter_context(link)
        log.info(
            "started",
            ledger=ledger.hex(),
            account=place.identity().split()[1],
            node=str(endpoint),
            gateways=len(place.gateways.names()),
            confirm_at=confirm_at,
        )
        _run(stop, {"writer": loop.run, "poster": poster.run})
        log.info("stopped", **_summary(place, readings_per_record))
        for error in (loop.error, poster.error):
            if error is not None:
                raise error


@command.command("status")
@DIR
@_READINGS
@AS_JSON
def status(folder: Path, readings_per_record: int, as_json: bool) -> None:
    """Show what waits, what was posted, where it stands, and what it costs."""
    import json

    from tallystick_ledger.bridge import status as shown
    from tallystick_ledger.bridge.folder import BridgeFolder

    found = shown.facts(BridgeFolder(folder), readings_per_record)
    for line in [json.dumps(found)] if as_json else shown.lines(found):
        click.echo(line)


@command.command("attach")
@DIR
@click.option(
    "--ledger-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the embedded ledger that the bridge follows.",
)
@click.argument(
    "proofs", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path)
)
def attach(folder: Path, ledger_dir: Path, proofs: tuple[Path, ...]) -> None:
    """Add the transaction that carries it to proof files whose anchor is in a ledger that the bridge follows."""
    from tallystick_ledger.bridge.attaching import attach as attach_to
    from tallystick_ledger.bridge.folder import BridgeFolder
    from tallystick_ledger.folder import Folder

    for path in proofs:
        sent = attach_to(path, BridgeFolder(folder), Folder(ledger_dir))
        click.echo(f"{path}: transaction 0x{sent.hash.hex()} of eip155:{sent.chain}", err=True)


def _run(stop: threading.Event, bodies: dict[str, Callable[[], None]]) -> None:
    """Until one of the threads ends or a signal comes. What is still at work then is ended with the
    process, as any power cut would.
    """
    threads = [
        threading.Thread(target=body, name=name, daemon=True) for name, body in bodies.items()
    ]
    for thread in threads:
        thread.start()
    stop.wait()
    end = time.monotonic() + _JOIN_S
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))


def _summary(place: object, readings_per_record: int) -> dict[str, object]:
    from tallystick_ledger.bridge import status as shown
    from tallystick_ledger.bridge.folder import BridgeFolder

    if not isinstance(place, BridgeFolder):
        return {}
    found = shown.facts(place, readings_per_record)
    return {name: found[name] for name in ("counts", "spent", "cost_per_million_readings")}
