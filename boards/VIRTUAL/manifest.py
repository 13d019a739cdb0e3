# A virtual board takes the compiled files; whoever builds MicroPython's unix port himself can freeze the agent:
#
#     make -C ports/unix FROZEN_MANIFEST=<this file>

include("$(PORT_DIR)/variants/manifest.py")
package("tally", base_path="../../firmware", opt=3)
package("sensors", base_path="../../firmware", opt=3)
package("modem", base_path="../../firmware", opt=3)
require("umqtt.simple")
