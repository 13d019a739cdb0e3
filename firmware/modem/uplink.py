"""A modem that speaks MQTT itself, as the network below it: see tally/uplink.py."""

from modem.cell import the

MAX_MESSAGE = 2048
SHORT_MESSAGE = 256  # of a SIM7000: 512 bytes of a payload, and binary goes as hexadecimal digits


class Modem:
    """max_message: bytes that this model takes in one message."""

    def __init__(self, config):
        self._config = config
        self.max_message = MAX_MESSAGE
        if config["modem_args"].get("model", "").startswith("SIM7000"):
            self.max_message = SHORT_MESSAGE

    def up(self, failures):
        """None if there is a network, else why not. The modem counts for itself how long there was none."""
        cell = the(self._config)
        why = cell.up()
        if why is None:
            from modem import who

            who.note(self._config, cell)
        return why
