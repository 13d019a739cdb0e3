"""Real Conflux nodes on this machine: one, or several that are peers of one network.

conflux-rust in its development mode: blocks at a fixed interval instead of work, the same genesis for
all peers, which gives each of `FUNDED` 10,000 CFX in eSpace. It is a real Tree-Graph with real
consensus between the peers; no staking validator runs, so nothing is ever `finalized`. Core's RPC,
which can stop it and mine, listens on loopback; eSpace's and the peers' ports listen on all interfaces, because the
node has no setting for them: keep a firewall before them.

    with Network(Path("state"), peers=2) as network:
        network[0].url                  # JSON-RPC of eSpace
        network[0].kill()               # as a power cut would
        network[0].start()              # the same data and ports
        network.partition(); network.heal()
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tools.parts import LOOPBACK, ROOT, part

CHAIN_ID = 2222  # of eSpace
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
NODE_FILE = "conflux/node.linux-x64-gnu.node"
FUNDED = tuple(sha256(b"tallystick test account %d" % i).hexdigest() for i in range(16))

_CONFIGURATION = """\
mode = "dev"
dev_block_interval_ms = {interval_ms}
chain_id = 1111
evm_chain_id = {chain}
default_transition_time = 1
hydra_transition_number = 1
hydra_transition_height = 1
cip1559_transition_height = 1
cip112_transition_height = 1
pos_reference_enable_height = 0
genesis_secrets = "{genesis}"
genesis_evm_secrets = "{genesis}"
block_db_type = "sqlite"
persist_tx_index = true
conflux_data_dir = "{folder}"
block_db_dir = "{folder}/blockchain_db"
netconf_dir = "{folder}/net_config"
net_key = "{net_key}"
tcp_port = {tcp}
udp_port = {tcp}
public_address = "127.0.0.1"
{bootnodes}session_ip_limits = "0,0,0,0"
enable_discovery = false
min_phase_change_normal_peer_count = {needed}
jsonrpc_local_http_port = {core}
jsonrpc_http_eth_port = {eth}
public_rpc_apis = "all"
public_evm_rpc_apis = "evm"
dev_pos_private_key_encryption_password = "123456"
pos_config_path = "{pos}/pos_config.yaml"
pos_initial_nodes_path = "{pos}/initial_nodes.json"
pos_private_key_path = "{folder}/pos_key"
"""


class ConfluxError(Exception):
    """A node did not start or does not answer; the text ends with its last words."""


def call(url: str, method: str, *params: object, timeout_s: float = 10.0) -> Any:
    """The result of one JSON-RPC call; ConfluxError if the node says no or nothing."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
            value = json.load(answer)
    except (OSError, ValueError) as error:
        message = f"{method}: {error}"
        raise ConfluxError(message) from error
    if "error" in value:
        message = f"{method}: {value['error']}"
        raise ConfluxError(message)
    return value["result"]


def transactions(url: str, address: str) -> list[dict[str, Any]]:
    """Every transaction that an account has executed, as the blocks hold them, oldest first."""
    found: list[dict[str, Any]] = []
    newest = int(call(url, "eth_blockNumber"), 16)
    for number in range(newest + 1):
        block = call(url, "eth_getBlockByNumber", hex(number), True)
        found += [one for one in block["transactions"] if one["from"] == address.lower()]
    return found


class Peer:
    """One node: a process over a folder, with ports of its own for life."""

    def __init__(self, folder: Path, number: int, interval_ms: int, genesis: Path) -> None:
        self.folder = folder
        self.number = number
        self.tcp, self.core, self.eth = _free_ports(3)
        self.log = folder / "node.log"
        self._interval_ms = interval_ms
        self._genesis = genesis
        self._secret = sha256(b"tallystick test peer %d" % number).digest()
        self._process: subprocess.Popen[bytes] | None = None
        self._known: list[Peer] = []

    @property
    def url(self) -> str:
        """JSON-RPC of eSpace."""
        return f"http://{LOOPBACK}:{self.eth}"

    @property
    def running(self) -> bool:
        """Is the process there?"""
        return self._process is not None and self._process.poll() is None

    @property
    def address(self) -> str:
        """Under which other peers find it."""
        private = ec.derive_private_key(int.from_bytes(self._secret, "big"), ec.SECP256K1())
        point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        return f"cfxnode://{point[1:].hex()}@{LOOPBACK}:{self.tcp}"

    def start(self, *, wait: bool = True) -> None:
        """Start it; return when it takes part in the network."""
        self.launch()
        if wait:
            self.wait_ready()

    def launch(self, known: list[Peer] | None = None) -> None:
        """Start the process; `known` are the peers that it looks for, as before if None."""
        if known is not None:
            self._known = known
        pos = self.folder / "pos_config"
        self.folder.mkdir(parents=True, exist_ok=True)
        if not pos.exists():
            # the node writes beside its configuration
            shutil.copytree(part("conflux/pos_config"), pos)
        others = ",".join(peer.address for peer in self._known)
        config = self.folder / "conflux.toml"
        config.write_text(
            _CONFIGURATION.format(
                interval_ms=self._interval_ms,
                chain=CHAIN_ID,
                genesis=self._genesis,
                folder=self.folder,
                net_key=self._secret.hex(),
                tcp=self.tcp,
                bootnodes=f'bootnodes = "{others}"\n' if others else "",
                needed=1 if others else 0,
                core=self.core,
                eth=self.eth,
                pos=pos,
            )
        )
        script = ROOT / "tools" / "conflux_node.cjs"
        argv = [part("bin/node"), script, part(NODE_FILE), config, self.folder]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )

    def wait_ready(self) -> None:
        """Return when it has caught up and takes transactions."""
        deadline = time.monotonic() + START_TIMEOUT_S
        core = f"http://{LOOPBACK}:{self.core}"
        while True:
            try:
                if call(core, "debug_currentSyncPhase") == "NormalSyncPhase":
                    call(self.url, "eth_blockNumber")
                    return
            except ConfluxError:
                pass
            if not self.running or time.monotonic() > deadline:
                self.kill()
                last = self.log.read_text(errors="replace").strip().splitlines()[-3:]
                message = f"Conflux peer {self.number} does not start: {' / '.join(last)}"
                raise ConfluxError(message)
            time.sleep(POLL_S)

    def stop(self) -> None:
        """End it in good order, or at once if it does not."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Lose all that it has stored; it must not run."""
        shutil.rmtree(self.folder)


class Network:
    """Peers of one network, started and ended together."""

    def __init__(self, folder: Path, *, peers: int = 1, interval_ms: int = 500) -> None:
        folder = folder.resolve()
        folder.mkdir(parents=True, exist_ok=True)
        genesis = folder / "genesis.txt"
        genesis.write_text("".join(f"{secret}\n" for secret in FUNDED))
        self.peers = [Peer(folder / f"n{i}", i, interval_ms, genesis) for i in range(peers)]

    def __getitem__(self, number: int) -> Peer:
        return self.peers[number]

    def __enter__(self) -> Self:
        try:
            self.heal()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()

    def heal(self) -> None:
        """Restart all peers so that they know one another."""
        self._restart(connected=True)

    def partition(self) -> None:
        """Restart all peers so that each is alone: every one goes on with a chain of its own."""
        self._restart(connected=False)

    def _restart(self, *, connected: bool) -> None:
        self._kill()
        for peer in self.peers:
            peer.launch([other for other in self.peers if connected and other is not peer])
        for peer in self.peers:
            peer.wait_ready()

    def _kill(self) -> None:
        for peer in self.peers:
            peer.kill()


def _free_ports(count: int) -> list[int]:
    """So many different ports that nobody listens on at this moment."""
    found: list[int] = []
    sockets: list[socket.socket] = []
    try:
        while len(found) < count:
            probe = socket.socket()
            probe.bind((LOOPBACK, 0))
            sockets.append(probe)
            found.append(int(probe.getsockname()[1]))
    finally:
        for probe in sockets:
            probe.close()
    return found
