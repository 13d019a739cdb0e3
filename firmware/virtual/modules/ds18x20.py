"""What `ds18x20` of MicroPython's ESP32 images offers, for the virtual board: commands to probes on a line.

As there: `convert_temp` and `read_scratch` raise OneWireError without a presence pulse, and plain Exception for a
wrong CRC.
"""


class DS18X20:
    def __init__(self, onewire):
        self.ow = onewire
        self._pad = bytearray(9)

    def scan(self):
        return [rom for rom in self.ow.scan() if rom[0] in (0x10, 0x22, 0x28)]

    def convert_temp(self):
        self.ow.reset(True)
        self.ow.write((self.ow.SKIP_ROM, 0x44))

    def read_scratch(self, rom):
        self.ow.reset(True)
        self.ow.select_rom(rom)
        self.ow.writebyte(0xBE)
        self.ow.readinto(self._pad)
        if self.ow.crc8(self._pad):
            raise Exception("CRC error")
        return self._pad
