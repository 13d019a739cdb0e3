"""Cut the power of a littlefs, and of non-volatile storage, at every single write of an update, and let it go on.

Prints `operations N`, `whole` if an update without a cut ends well, then a line for each cut after which something is
wrong: `old n` (the running agent is not what it was), `new n` (what goes on trial is not what was signed), `stuck n`.
Then the same where an earlier update waits for its trial, because boot.py could not count its starts.
"""

import os
from hashlib import sha256

import cuts
import machine
from cuts import BLOCK, Disk
from tally import cose, hal, identity, place, signer, update

cuts.BLOCKS = BLOCKS = 36
SEED = bytes(range(32))
OLD = {
    "boot.py": b"# start\n",
    "main.py": b"# start, too\n",
    "tally/life.mpy": b"M old life" * 90,
    "tally/same.mpy": b"M the same in both" * 40,
    "sensors/gone.mpy": b"M gone with the update",
}
NEW = {
    "boot.py": OLD["boot.py"],
    "main.py": OLD["main.py"],
    "sensors/__init__.mpy": b"",
    "tally/life.mpy": b"M new life" * 95,
    "tally/news.mpy": bytes(range(256)) * 7,
    "tally/same.mpy": OLD["tally/same.mpy"],
}


class Reset(Exception):
    """The board starts anew."""


class Store:
    """Non-volatile storage on the same power as a disk: an entry is there, or it is not."""

    def __init__(self, entries, disk):
        self.entries, self.disk = entries, disk

    def _set(self, key, value):
        if self.disk._goes():
            raise OSError(5)
        self.entries[key] = value

    set_i32 = _set

    def set_blob(self, key, value):
        self._set(key, bytes(value))

    def get_i32(self, key):
        if key not in self.entries:
            raise OSError(2)
        return self.entries[key]

    def get_blob(self, key, buffer):
        value = self.get_i32(key)
        buffer[: len(value)] = value
        return len(value)

    def commit(self):
        pass


class Link:
    max_message = 2048

    def __init__(self, agent):
        self.agent = agent

    def connected(self):
        return True

    def tell(self, leaf, text, keep=False):
        if leaf == "/update/want":
            digest, offset, length = text.split(" ")
            digest, offset = bytes.fromhex(digest), int(offset)
            data = OBJECTS[digest][offset : offset + int(length)]
            self.agent.publisher.part = digest + offset.to_bytes(4, "big") + data

    def close(self, word="disconnected"):
        pass


class Agent:
    """As much of one as an update touches. It is its own board and publisher."""

    def __init__(self, store):
        self.board = self.publisher = self
        self.store = store
        self.link = Link(self)
        self.manifest, self.part, self.fetch = MANIFEST, None, None

    def log(self, text):
        if "refused" in text:
            print("#", text)

    def seal(self):
        pass


def lines(files):
    return b"".join(
        b"%s %d %s\n"
        % (path.encode(), len(files[path]), sha256(files[path]).digest().hex().encode())
        for path in sorted(files)
    )


def manifest(index):
    draft = cose.draft()
    digest = sha256(index).digest()
    draft.begin()
    draft.put([5, 0, b"9.0.0", 0, None, update.machine(), len(index), digest])
    signed = cose.to_sign(draft, cose.kid(signer.public(SEED)), 65008)
    return bytes(cose.sealed(draft, signer.sign(SEED, signed)))


def write(path, data):
    place.make_folder(path)
    with open(path, "wb") as file:
        file.write(data)


def reset():
    raise Reset


def live(disk, entries):
    """One life of a board whose update comes; True if it ends with the switch."""
    store = Store(entries, disk)
    hal._failed.clear()
    hal.nvs = lambda: store
    machine.RTC().memory(b"")
    agent = Agent(store)
    try:
        os.mount(os.VfsLfs2(disk), "/lfs")
        os.chdir("/lfs")
        try:
            update.consider(agent)
            for _ in range(400):
                if agent.fetch is None or agent.fetch.step():
                    return False
        except Reset:
            return True
        finally:
            os.chdir("/")
            os.umount("/lfs")
    except OSError:
        pass
    return False


def check(n, data, entries):
    """Look at the flash: the old agent is whole, and the new one if it is to run."""
    hal._failed.clear()
    os.mount(os.VfsLfs2(Disk(data, -1)), "/lfs")
    os.chdir("/lfs")
    if identity.whole("") != OLD_DIGEST:
        print("old", n)
    if entries.get("place"):
        with open(place.STORY, "rb") as file:
            story = file.read()
        if (identity.whole("b/"), story[:2]) not in ((INDEX, b"5 "), (OLD_INDEX, b"4 ")):
            print("new", n)
        if entries["place"] != 8 or story[:2] == b"4 ":
            entries.pop("place")
    os.chdir("/")
    os.umount("/lfs")


hal.reset = reset
hal.sleep_ms = lambda ms: None
hal.free_bytes = lambda: 1 << 20
OLD_DIGEST = sha256(lines(OLD)).digest()
index = lines(NEW)
INDEX = sha256(index).digest()
OBJECTS = {sha256(data).digest(): data for data in list(NEW.values()) + [index]}
MANIFEST = manifest(index)
blank = bytearray(b"\xff" * (BLOCK * BLOCKS))
os.VfsLfs2.mkfs(Disk(blank, -1))
os.mount(os.VfsLfs2(Disk(blank, -1)), "/lfs")
os.chdir("/lfs")
for path, content in OLD.items():
    write(path, content)
os.chdir("/")
os.umount("/lfs")
PINNED = {"upd_key": signer.public(SEED)}
OLDER = dict(OLD)
OLDER["tally/life.mpy"] = b"M older life" * 70
OLD_INDEX = sha256(lines(OLDER)).digest()


def all_cuts(blank, known):
    """Every cut from this flash and this non-volatile storage on."""
    data = bytearray(blank)
    disk, entries = Disk(data, -1), dict(known)
    if live(disk, entries) and entries["upd_counter"] == (5).to_bytes(8, "big"):
        print("whole")
    check(-1, data, entries)
    print("operations", disk.done)
    for n in range(disk.done):
        data[:] = blank
        entries = dict(known)
        live(Disk(data, n), entries)
        check(n, data, entries)
        if not entries.get("place"):
            # the power comes back, and nobody does anything but offer the same again
            if not live(Disk(data, -1), entries):
                print("stuck", n)
            check(n, data, entries)
        elif "upd_counter" not in entries:
            # the trial has begun, and is told of with its counter: tally/trial.py takes it then
            entries["upd_counter"] = (5).to_bytes(8, "big")


all_cuts(blank, PINNED)
os.mount(os.VfsLfs2(Disk(blank, -1)), "/lfs")
os.chdir("/lfs")
for path, content in OLDER.items():
    if "/" in path:
        write("b/" + path, content)
write(place.STORY, b"4 0.1.0 8.0.0")
os.chdir("/")
os.umount("/lfs")
PINNED.update({"place": 8, "upd_counter": (4).to_bytes(8, "big")})
all_cuts(blank, PINNED)
print("end")
