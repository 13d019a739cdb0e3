"""The service's log: one JSON object a line on stderr, for journald and everything that reads it."""

from __future__ import annotations

import logging
import sys

import structlog

__all__ = ["log_json"]


def log_json(level: str = "info") -> None:
    """One JSON object a line on stderr, from `level` on."""
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
