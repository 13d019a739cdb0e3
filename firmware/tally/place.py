"""The two places of an agent: `/`, where it was provisioned, and `/b` (docs/format.md, 6.1). boot.py chooses. Loaded
when it matters.

Rules
* One number in non-volatile storage says all, so that no power cut leaves two halves of a decision; see boot.py.
* Nothing is written into the place that runs, or that runs again if the other one fails.
"""

import errno
import os
import sys

from micropython import const

from tally import hal

KEY = "place"
IMAGE = "image"  # of an update of the program, MicroPython: its slot on trial
FOLDER = "update"  # manifest, index and story of an update
MANIFEST = "update/manifest"
INDEX = "update/index"
STORY = "update/story"  # counter, version before, version after
_STARTS = const(4)  # 3 of the new agent, and one that tells of its end
FAILED = const(1)
TRIAL = const(2)
DONE = const(7)
_ROOTS = ("lib", "modem", "sensors", "tally")
_FOLDER_BIT = const(0x4000)


def here():
    """What the paths of the running agent begin with."""
    return "b/" if "b" in sys.path else ""


def other():
    """The same of the place that an update goes to."""
    return "" if here() else "b/"


def _image():
    """Of an update of the program: 0 nothing, else the subtype of its slot << 2 and TRIAL, or 3 for what is done."""
    return hal.number(hal.nvs(), IMAGE)


def state():
    """Of the last update, None if there is nothing to say of it: FAILED, TRIAL or DONE."""
    number = _image()
    if number:
        if number & 3 != TRIAL:
            return DONE
        from esp32 import Partition

        return TRIAL if Partition(Partition.RUNNING).info()[1] == number >> 2 else FAILED
    number = hal.number(hal.nvs(), KEY)
    if number & 1 != (here() != ""):
        return TRIAL if number >> 1 else None
    return number >> 1 if number >> 1 in (FAILED, DONE) else None


def switch():
    """From the next start on the other place is on trial. It has every folder, be it empty: what it lacks is not to be
    found in the first place instead."""
    for root in _ROOTS:
        make_folder(other() + root + "/")
    _keep(KEY, (here() != "") | _STARTS << 1)


def settle(state=0):
    """What runs is good. state: DONE if that is still to be told."""
    if not _image():
        _keep(KEY, (here() != "") | state << 1)
        return
    if state:
        from esp32 import Partition

        Partition.mark_app_valid_cancel_rollback()
    _keep(IMAGE, 3 if state else 0)


def switch_image(slot):
    """The program in this partition is on trial from its start on."""
    _keep(IMAGE, slot.info()[1] << 2 | TRIAL)


def forget_image():
    """There is no such trial."""
    _keep(IMAGE, 0)


def _keep(key, number):
    store = hal.nvs()
    store.set_i32(key, number)
    store.commit()


def make_folder(path):
    """Make the folders above a file."""
    at = path.find("/")
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError as error:
            if error.args[0] != errno.EEXIST:
                raise
        at = path.find("/", at + 1)


def size(path):
    """Bytes of a file, -1 if there is none."""
    try:
        facts = os.stat(path)
    except OSError:
        return -1
    return -1 if facts[0] & _FOLDER_BIT else facts[6]


def wipe():
    """Empty the other place. Raises OSError."""
    hal.flash_check()
    if hal.number(hal.nvs(), KEY) >> 1:
        settle()  # a trial that boot.py could not count is not to begin in what is half empty
    try:
        for root in _ROOTS:
            remove(other() + root)
    except OSError as error:
        hal.flash_check(error)
        raise


def remove(path):
    """A file, or a folder and all that is in it, if it is there."""
    try:
        facts = os.stat(path)
    except OSError:
        return
    if facts[0] & _FOLDER_BIT:
        for name in [entry[0] for entry in os.ilistdir(path)]:
            remove(path + "/" + name)
        os.rmdir(path)
    else:
        os.remove(path)
