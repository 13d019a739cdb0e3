"""Counters, and facts by name."""

from __future__ import annotations

import json
from typing import Any

from tallystick_gateway.store.database import Database

__all__ = ["Facts"]


class Facts(Database):
    """Small things that outlive the process."""

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        self._db.execute(
            "INSERT INTO counters VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = value + ?",
            (name, by, by),
        )

    def counters(self) -> dict[str, int]:
        """All counters."""
        return dict(self._db.execute("SELECT name, value FROM counters").fetchall())

    def fact(self, name: str) -> Any:
        """A JSON value by name, None if it was never set."""
        row = self._one("SELECT value FROM facts WHERE name = ?", name)
        return None if row is None else json.loads(row[0])

    def set_fact(self, name: str, value: object) -> None:
        """Keep a JSON value; None forgets it."""
        with self.transaction():
            if value is None:
                self._db.execute("DELETE FROM facts WHERE name = ?", (name,))
            else:
                self._db.execute(
                    "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))
                )
