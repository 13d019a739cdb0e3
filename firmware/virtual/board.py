"""A Tallystick board without hardware: the agent of a real one, on MicroPython's unix port.

It is a simulator, and says so (`board` in the console's `info`). What is simulated is the chip: `machine`,
`network` and `esp32` in modules/. All the rest is what a board runs, from the same compiled files: the key is
made on it, its records are as good as a board's, and its key is as badly kept as any file.

    python firmware/virtual/board.py DIR                  console on stdin and stdout
    python firmware/virtual/board.py DIR --pty DIR/tty    console on a serial port of that name
    python firmware/virtual/board.py DIR --pty DIR/tty --repl    a board with MicroPython and no agent yet, for mpremote
    python firmware/virtual/board.py DIR --bits 32        with the integers and the heap of an ESP32
    python firmware/virtual/board.py DIR --restart        start it again when it resets, sleeps or hangs
    python firmware/virtual/board.py DIR --prepare        lay it out, remember --bits and --heap, and end
    python firmware/virtual/board.py DIR --partitions firmware/virtual/partitions-4MiB-ota.csv    room for another

DIR/flash       the board's file system: the agent, settings, records
DIR/nvs.json    non-volatile storage: the key, the head of the chain, the owner
DIR/unique_id   the chip's number
DIR/partitions.csv, partitions/, otadata.json    the flash's table, its programs, which one starts: modules/otadata.py
DIR/chip.json   width of a word and heap, as last asked for: a chip does not change by itself
DIR/world.json  what the tester does to the world: {"radio": "off"}, {"clock": "host"}; see modules/

Rules
* Without --pty and --restart this process becomes the board: killing it, with any signal and at any moment, is a power
  cut. It ends with status 64 when it resets, 65 when it falls into deep sleep, by SIGALRM when its watchdog bites.
* With --restart this process waits beside the board and starts it again at those three, as a chip does. When it
  dies, the board dies: a power cut.
* With --pty it is the USB cable as well: it copies bytes, and throws away what nobody listens to.
* Only the agent's own files are written into DIR/flash, and only those that changed.
* One board in one folder: a second one is refused while the first runs.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))

from firmware import build as firmware_build  # noqa: E402 - found where this file stands

PROGRAMS = {64: ("TALLY_MICROPYTHON", "micropython"), 32: ("TALLY_MICROPYTHON32", "micropython32")}
ARCHITECTURES = {64: {"x86_64": "x64"}, 32: {}}
ARCHITECTURE_32 = "armv7emdp"
HEAP = {64: "1m", 32: "111k"}
STATUS_RESET = 64
STATUS_DEEPSLEEP = 65
STATUS_WATCHDOG = -signal.SIGALRM
CAUSE_WATCHDOG = 3  # machine.WDT_RESET
LOCK_PATIENCE_S = 1.0  # a board whose launcher was killed needs a moment to follow
PR_SET_PDEATHSIG = 1
PIECE_BYTES = 4096
CTRL_C = b"\x03"
HOST_READS_S = 0.2
INTERRUPT_S = 0.05  # until what ran has ended and does not take what was typed after the Ctrl-C


class BoardError(Exception):
    """The virtual board cannot be started; the text says why."""


def chip(folder: Path, bits: int | None, heap: str | None) -> tuple[int, str]:
    """The board's word width and heap: what is asked for now, else what was asked for last."""
    path = folder / "chip.json"
    try:
        known = json.loads(path.read_text())
        before = (int(known["bits"]), str(known["heap"]))
    except (OSError, ValueError, KeyError, TypeError):
        before = (64, HEAP[64])
    width = bits or before[0]
    if width not in HEAP:
        message = f"{str(path)!r} names {width} bits\nhint: give --bits 32 or --bits 64"
        raise BoardError(message)
    size = heap or (before[1] if width == before[0] else HEAP[width])
    if (width, size) != before or not path.exists():
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps({"bits": width, "heap": size}))
        beside.replace(path)
    return width, size


def micropython(bits: int) -> list[str]:
    """How MicroPython is started on this machine."""
    variable, name = PROGRAMS[bits]
    named = os.environ.get(variable)
    if named:
        return shlex.split(named)
    ours = ROOT / ".parts" / "bin" / name
    if ours.is_file():
        return [str(ours)]
    found = shutil.which(name)
    if found is None:
        message = f"no {name} on this machine\nhint: make setup, or name it in {variable}"
        raise BoardError(message)
    return [found]


def architecture(bits: int) -> str:
    """mpy-cross's name of the machine that this MicroPython runs on."""
    if bits == 32:
        return ARCHITECTURE_32
    return ARCHITECTURES[64].get(os.uname().machine, "none")


def _updated(folder: Path) -> bool:
    """Whether an update over the air has said which agent runs."""
    try:
        return "place" in json.loads((folder / "nvs.json").read_text())["tally"]
    except (OSError, ValueError, KeyError):
        return False


def _as_laid_out(folder: Path) -> None:
    """What was laid out is what runs, as after provisioning over a cable."""
    if _updated(folder):
        path = folder / "nvs.json"
        store = json.loads(path.read_text())
        del store["tally"]["place"]
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(store))
        beside.replace(path)


def flash(folder: Path, bits: int) -> Path:
    """Put the compiled agent on the board's file system, like a programmer would. Returns the file system."""
    try:
        built = firmware_build.build(architecture(bits))
    except firmware_build.BuildError as error:
        raise BoardError(str(error)) from error
    target = folder / "flash"
    target.mkdir(parents=True, exist_ok=True)
    laid, digest = folder / "laid_out", firmware_build.digest(built).hex()
    if _updated(folder) and laid.exists() and laid.read_text() == digest:
        return target  # it got another agent over the air since
    wanted = {path.relative_to(built) for path in built.rglob("*") if path.is_file()}
    wanted = {path for path in wanted if not path.name.startswith(".")}
    for name in wanted:
        content = (built / name).read_bytes()
        place = target / name
        if not place.is_file() or place.read_bytes() != content:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    for root in ("lib", "modem", "sensors", "tally"):
        for path in (target / root).rglob("*"):
            if path.is_file() and path.relative_to(target) not in wanted:
                path.unlink()
    laid.write_text(digest)
    _as_laid_out(folder)
    settings = target / "config.json"
    if not settings.exists():
        settings.write_text(json.dumps({"sensor": "virtual_sensor"}))
    return target


def lock(folder: Path) -> int:
    """Take the board's folder for this process and its children; the descriptor holds it."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                message = f"a board runs in {str(folder)!r} already"
                raise BoardError(message) from error
        time.sleep(0.02)
    os.set_inheritable(descriptor, True)
    return descriptor


def install_rom(folder: Path, bits: int) -> None:
    """Make DIR/rom the chip's modules: MicroPython keeps their paths in the heap, so that they had better be short."""
    try:
        rom = firmware_build.build_rom(architecture(bits))
    except firmware_build.BuildError as error:
        raise BoardError(str(error)) from error
    link = folder / "rom"
    if not link.is_symlink() or link.readlink() != rom:
        beside = folder / f"rom.{os.getpid()}"
        beside.symlink_to(rom)
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)  # a copy of the folder that followed the link
        beside.replace(link)


def command(bits: int, heap: str) -> list[str]:
    """The argument list of the running board, in the folder that is its flash."""
    return [*micropython(bits), "-X", f"heapsize={heap}", "../rom/start.py"]


def _die_with_parent() -> None:
    """In the child: a cable that is killed must not leave a board behind (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Cable:
    """A pseudo-terminal with the board on the one side and, sometimes, a host on the other."""

    def __init__(self, link: Path, *, interrupts: Path | None = None) -> None:
        """`interrupts`: the file system of a board on which Ctrl-C ends what runs, unless it is locked there."""
        self._interrupts = interrupts
        self.ours, theirs = os.openpty()
        tty.setraw(theirs, termios.TCSANOW)
        tty.setraw(self.ours, termios.TCSANOW)
        self._link = link
        with contextlib.suppress(FileNotFoundError):
            link.unlink()
        link.symlink_to(os.ttyname(theirs))
        # With our own copy closed, the pseudo-terminal tells us whether a host has it open.
        os.close(theirs)

    def close(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._link.unlink()
        os.close(self.ours)

    def carry(self, board: subprocess.Popen[bytes]) -> int:
        """Copy bytes until the board ends; its status."""
        if board.stdin is None or board.stdout is None:
            raise BoardError("the board has no console")
        to_board, from_board = board.stdin.fileno(), board.stdout.fileno()
        os.set_blocking(self.ours, False)
        poll = select.poll()
        poll.register(from_board, select.POLLIN)
        while True:
            events = dict(poll.poll(20))
            if events.get(from_board):
                data = os.read(from_board, PIECE_BYTES)
                if not data:
                    return board.wait()
                self._show(data)
            try:
                typed = os.read(self.ours, PIECE_BYTES)
            except BlockingIOError:
                poll.register(self.ours, select.POLLIN)  # a host is there: wake up when it types
                continue
            except OSError:
                with contextlib.suppress(KeyError):
                    poll.unregister(self.ours)  # nobody there, which would wake us all the time
                continue
            with contextlib.suppress(BrokenPipeError):
                self._type(typed, board, to_board)

    def _show(self, data: bytes) -> None:
        """Pass on what the board says; without a host it is lost, as on a cable with nobody at its end."""
        with contextlib.suppress(OSError):
            while data:
                try:
                    data = data[os.write(self.ours, data) :]
                except BlockingIOError:
                    if not select.select([], [self.ours], [], HOST_READS_S)[1]:
                        return  # somebody has the port open and does not read

    def _type(self, typed: bytes, board: subprocess.Popen[bytes], to_board: int) -> None:
        """Pass on what was typed; with a REPL, Ctrl-C is an interrupt, as it is for a chip's UART."""
        fs = self._interrupts
        interrupts = fs is not None and not (fs / "locked").exists()
        pieces = typed.split(CTRL_C) if interrupts else [typed]
        for number, piece in enumerate(pieces):
            if number:
                board.send_signal(signal.SIGINT)
                time.sleep(INTERRUPT_S)
            if piece:
                os.write(to_board, piece)


def rests(status: int, folder: Path) -> bool:
    """Whether a board that ended like this starts again; waits for as long as it sleeps."""
    state = folder / "reset.json"
    if status == STATUS_DEEPSLEEP:
        time.sleep(json.loads(state.read_text())["wake_ms"] / 1000)
    elif status == STATUS_WATCHDOG:
        state.write_text(json.dumps({"cause": CAUSE_WATCHDOG}))
    return status in (STATUS_RESET, STATUS_DEEPSLEEP, STATUS_WATCHDOG)


def run_again(argv: list[str], target: Path, descriptor: int) -> int:
    """Run the board on our own terminal, through its resets, sleeps and hangs."""
    board: subprocess.Popen[bytes] | None = None

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    try:
        while True:
            board = subprocess.Popen(
                argv, cwd=target, pass_fds=(descriptor,), preexec_fn=_die_with_parent
            )
            status = board.wait()
            if not rests(status, target.parent):
                return status
    except KeyboardInterrupt:
        return 130
    finally:
        if board is not None:
            board.kill()
            board.wait()


def wired() -> None:
    """In the child: an interrupt that comes before MicroPython listens for it does not kill the board."""
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_on_cable(
    argv: list[str], target: Path, link: Path, descriptor: int, *, repl: bool = False
) -> int:
    """Run the board behind a serial port, through its resets and sleeps."""
    cable = Cable(link, interrupts=target if repl else None)
    board: subprocess.Popen[bytes] | None = None

    def end(number: int, frame: FrameType | None) -> None:
        if board is not None:
            board.kill()
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, end)
    print(f"virtual board (simulator) on {link}", file=sys.stderr, flush=True)
    try:
        while True:
            board = subprocess.Popen(
                argv,
                cwd=target,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(descriptor,),
                preexec_fn=wired if repl else _die_with_parent,
            )
            status = cable.carry(board)
            if not rests(status, target.parent):
                return status
    except KeyboardInterrupt:
        return 130
    finally:
        if board is not None:
            board.kill()
            board.wait()
        cable.close()


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a virtual Tallystick board (a simulator).")
    parser.add_argument("dir", type=Path, help="the board's folder; made if it is not there")
    parser.add_argument(
        "--bits", type=int, choices=(32, 64), help="width of a machine word; 64 for a new board"
    )
    parser.add_argument("--heap", help="size of the heap; 111k with 32 bits, 1m with 64")
    parser.add_argument(
        "--partitions", type=Path, metavar="CSV", help="table of the flash; else the last one"
    )
    parser.add_argument("--prepare", action="store_true", help="lay the board out and end")
    parser.add_argument("--restart", action="store_true", help="run it through resets and sleeps")
    parser.add_argument("--pty", type=Path, metavar="LINK", help="put the console on a serial port")
    parser.add_argument(
        "--repl",
        action="store_true",
        help="with --pty: MicroPython and the files that are there; the agent is not laid out",
    )
    arguments = parser.parse_args()
    folder: Path = arguments.dir
    if arguments.repl and (arguments.pty is None or arguments.prepare):
        parser.error("--repl needs --pty, and lays nothing out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = lock(folder)
        bits, heap = chip(folder, arguments.bits, arguments.heap)
        install_rom(folder, bits)
        argv = command(bits, heap)
        if arguments.partitions is not None:
            shutil.copyfile(arguments.partitions, folder / "partitions.csv")
        target = folder / "flash"
        if arguments.repl:
            argv.append("--repl")
            target.mkdir(exist_ok=True)
        else:
            flash(folder, bits)
    except (BoardError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if arguments.prepare:
        return 0
    if arguments.pty is not None or arguments.restart:
        (folder / "reset.json").unlink(missing_ok=True)  # this start is power-on
    if arguments.pty is not None:
        return run_on_cable(argv, target, arguments.pty, descriptor, repl=arguments.repl)
    if arguments.restart:
        print("virtual board (simulator)", file=sys.stderr, flush=True)
        return run_again(argv, target, descriptor)
    print("virtual board (simulator)", file=sys.stderr, flush=True)
    os.chdir(target)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    raise SystemExit(main())
