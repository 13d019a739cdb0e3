# The agent, frozen into an image of MicroPython: with the port's own sources and ESP-IDF at hand,
#
#     make -C ports/esp32 BOARD=ESP32_GENERIC FROZEN_MANIFEST=<this file>
#
# Code that is frozen takes no heap and cannot be changed from the REPL; the key does not depend on it.

include("$(PORT_DIR)/boards/manifest.py")
package("tally", base_path="../../firmware", opt=3)
package("sensors", base_path="../../firmware", opt=3)
package("modem", base_path="../../firmware", opt=3)
require("umqtt.simple")
module("boot.py", base_path="../../firmware")
module("main.py", base_path="../../firmware")
