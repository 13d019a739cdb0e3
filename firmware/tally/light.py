"""Which state of the board is shown. Loaded where there is a light, and to say it on the console."""

from tally import hal


def state(agent):
    """What the light shows of an agent: a key of `led.PATTERNS`."""
    if hal.uptime_ms() < agent.identify_ms:
        return "identify"
    if agent.state in ("waiting", "no sensor", "halted"):
        return agent.state
    if agent.storage or agent.state == "idle":
        return "storage"
    if agent.link.trouble:
        return agent.link.trouble
    if agent.board.trust.gateway is None:
        return "no grant"
    if agent.publisher.refused:
        return "refused"
    if agent.watch.trouble():
        return "sensor"  # the records say it, too: what keeps them from being heard comes first
    if hal.unix_time() is None:
        return "no clock"
    return "queueing" if agent.chain.queue() > 1 else "ready"
