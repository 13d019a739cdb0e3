"""The service's log: one JSON object a line on stderr, for journald and everything that reads it."""

from __future__ import annotations

import logging
import sys
import threading

import structlog

__all__ = ["log_json"]


def log_json(level: str = "info") -> None:
    """One JSON object a line on stderr, from `level` on; what libraries warn of and threads die of too."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(handlers=[_Library()], level=logging.WARNING, force=True)
    threading.excepthook = _thread_ended


class _Library(logging.Handler):
    """What a library says through `logging`."""

    def emit(self, record: logging.LogRecord) -> None:
        """As a line of ours; `logger` is its name."""
        structlog.get_logger().log(
            record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info
        )


def _thread_ended(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread else ""
    cause = (args.exc_type, args.exc_value, args.exc_traceback)
    structlog.get_logger().error("a thread has ended", thread=name, exc_info=cause)
