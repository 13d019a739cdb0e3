"""The partitions of the simulated chip, between resets; run as its main.py, prints `name value`.

world.json says what this start does: {"step": name}.
"""

import machine
from esp32 import Partition

step = machine.world()["step"]
running = Partition(Partition.RUNNING)
print("runs", running.info()[4])


def failure(use, *arguments):
    """The error's first argument, None without one."""
    try:
        use(*arguments)
    except OSError as error:
        return error.args[0]
    return None


if step == "blocks":
    target = running.get_next_update()
    print("target", target.info(), target.ioctl(4, 0), target.ioctl(5, 0))
    block = bytearray(4096)
    target.readblocks(3, block)
    print("blank", block == b"\xff" * 4096)
    target.writeblocks(3, b"\x0f" * 4096)
    target.writeblocks(3, b"\xaa\xaa", 1)
    target.readblocks(3, block)
    print("programmed", bytes(block[:4]))
    target.ioctl(6, 3)
    target.readblocks(3, block)
    print("erased", block == b"\xff" * 4096)
    print("end", failure(target.writeblocks, 384, block), failure(target.readblocks, 383, block, 1))
    print("odd", failure(target.writeblocks, 0, b"12"))
    print("no program", failure(target.set_boot))
    print("found", [one.info()[4] for one in Partition.find()], failure(Partition, "none"))
    print("data", Partition.find(Partition.TYPE_DATA, label="vfs")[0].info()[3])
    print("data starts", failure(Partition("vfs").set_boot))
if step == "write":
    image = bytearray(4096)
    with open("image.bin", "rb") as file:
        count = file.readinto(image)
    target = running.get_next_update()
    target.writeblocks(0, image)
    print("set", failure(target.set_boot), Partition(Partition.BOOT).info()[4])
if step == "confirm":
    print("confirmed", failure(Partition.mark_app_valid_cancel_rollback))
if step == "ordinary":
    print("next", failure(running.get_next_update))
    print("confirmed", failure(Partition.mark_app_valid_cancel_rollback))
if step == "broken":
    print("written", failure(running.get_next_update().writeblocks, 0, bytes(4096)))
if step == "sleep":
    machine.deepsleep(1)
