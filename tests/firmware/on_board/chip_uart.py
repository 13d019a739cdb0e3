"""Port 1 of the simulated chip, wired by world.json to the test's pseudo-terminal; prints `name value`."""

import select
import time

from machine import UART

port = UART(1, 115200, tx=27, rx=26, rxbuf=200, timeout=2000)
print("written", port.write(b"AT\r"))
print("line", port.readline())
print("bytes", port.read(4))
buffer = bytearray(3)
print("into", port.readinto(buffer), bytes(buffer))
port.init(timeout=50)
started = time.ticks_ms()
print("silence", port.read(1), time.ticks_diff(time.ticks_ms(), started) < 1000)
poll = select.poll()
poll.register(port, select.POLLIN)
print("idle", len(poll.poll(20)))
port.write(b"more")
print("awake", len(poll.poll(2000)))
while not port.any():
    time.sleep_ms(1)
time.sleep_ms(300)  # 1,000 bytes at 115200 baud take 87 ms
print("kept", port.any(), port.read(1000) == b"x" * 200)
port.init(1200)
port.write(b"slow")
time.sleep_ms(250)  # 30 bytes' time, and whatever the machine adds
slow = port.any()
print("slow", 0 < slow < 200)
port.deinit()
for name, use in (
    ("closed", port.any),
    ("number", lambda: UART(3)),
    ("bits", lambda: UART(2, bits=9)),
):
    try:
        print(name, use())
    except (OSError, ValueError) as error:
        print(name, error.args[0])
print("unwired", UART(2).read(1), UART(2).write(b"lost"))
