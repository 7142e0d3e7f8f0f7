"""The store's face: short transactions, readers that open read-only for each question."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa

from abkit.evidence import Evaluation
from abkit.queries.sql import sql
from abkit.store.connection import connected
from abkit.store.records import Known, KnownSeries, Pull, Quality, Read, VerdictRow, Weight, Written
from abkit.store.schema import check_version, is_current, migrate
from abkit.store.writing import run, write_pull
from abkit.window import Window

__all__ = ["Store"]

_WAIT: Final = 10.0


class Store:
    """One DuckDB file.

    Nothing is opened between calls: each opens the file, does its work and closes it, so that a writer and many readers
    in other processes get along. A locked file is waited for.

    Args:
        path: The file; `write` makes it.
        wait: Seconds to wait for another process' lock.
        keep_ms: How long before the watermark samples are kept, at least `SHORTEST_KEPT_MS`; for ever where left out.
            Facts are kept for ever.

    Raises:
        StoreLocked: (every method) Another process holds the file for longer.
        StoreUnusable: (every method) It is missing (readers), not a store, damaged, or can't be written.
        StoreVersion: (every method) A newer abkit wrote it.
    """

    def __init__(self, path: Path | str, *, wait: float = _WAIT, keep_ms: int | None = None) -> None:
        self.path = Path(path)
        self._wait = wait
        self._keep_ms = keep_ms

    @property
    def exists(self) -> bool:
        """Whether the file is there."""
        return self.path.exists()

    def write(self, pull: Pull) -> Written:
        """Write a pull, all of it or nothing.

        Raises:
            InputError: It would change facts whose samples were dropped.
        """
        with self._writing() as connection:
            return write_pull(connection, pull, self._keep_ms)

    def totals(
        self, experiment: str, window: Window, step_ms: int | None = None, inputs: Collection[str] | None = None
    ) -> pa.Table:
        """Sums over a window, by all that tells units apart.

        Only cells of time that lie wholly in the window count: minutes for the newest 48 hours, hours before, each cut
        where the split changed, where the analysis starts and ends, and at the edges of what was read.

        Args:
            experiment: The experiment's name.
            window: Half-open.
            step_ms: Length of a look; None for one look.
            inputs: Ids of the inputs that are wanted; all where left out.

        Returns:
            Rows with a total other than 0, in a fixed order, the same bytes for the same store. Columns: `input` (its
            id), `variant`, `assignment` ('' where not labelled), `replicate` (int32, -1 where not labelled), `instance`
            ('' where not kept), `le` (double, null but for buckets; in the series' own unit), `epoch` (int64, ms: when
            the split in force came into force; 0 before the first known one), `look` (int32) and `total` (double, in
            the counter's own unit).
        """
        with self._reading() as connection:
            values = {
                "experiment": experiment,
                "start_ms": window.start_ms,
                "end_ms": window.end_ms,
                "step_ms": step_ms,
                "wanted": None if inputs is None else sorted(inputs),
            }
            return connection.sql(sql("totals"), params=values).to_arrow_table()

    def hourly(
        self, experiment: str, window: Window, inputs: Collection[str]
    ) -> dict[tuple[str, str, str], dict[int, float]]:
        """Totals by hour of the clock (UTC): series of numbers, without what tells units apart.

        Args:
            experiment: The experiment's name.
            window: Half-open; only cells that lie wholly in it count.
            inputs: Ids of the inputs that are wanted.

        Returns:
            Input id, variant and assignment → start of the hour (ms) → total, hours without any left out.
        """
        rows = self._rows(
            "store/hourly",
            experiment=experiment,
            start_ms=window.start_ms,
            end_ms=window.end_ms,
            wanted=sorted(inputs),
        )
        found: dict[tuple[str, str, str], dict[int, float]] = {}
        for data, variant, assignment, hour, total in rows:
            found.setdefault((data, variant, assignment), {})[hour] = total
        return found

    def edges(self, experiment: str, window: Window) -> dict[tuple[str, str], tuple[float, ...]]:
        """Bucket bounds of histograms that were there in a window, whether or not they counted anything.

        Args:
            experiment: The experiment's name.
            window: Half-open.

        Returns:
            Input id and variant → bounds that all of its instances expose, rising, in the series' own unit.
        """
        rows = self._rows("store/edges", experiment=experiment, start_ms=window.start_ms, end_ms=window.end_ms)
        found: dict[tuple[str, str], tuple[float, ...]] = {}
        for data, variant, bound in rows:
            found[data, variant] = (*found.get((data, variant), ()), bound)
        return found

    def span(self, experiment: str) -> Window | None:
        """What was read: from when to when increments count. None before the first pull."""
        row = self._rows("store/reach", experiment=experiment)[0]
        return None if row[0] is None else Window(row[0], row[1])

    def known(self, experiment: str) -> Known:
        """What a pull builds on; nothing for a store that isn't there."""
        if not self.exists:
            return Known({}, (), ())
        with self._reading() as connection:
            reads = run(connection, "store/coverage", experiment=experiment)
            series = run(connection, "store/known_series", experiment=experiment)
            weights = run(connection, "store/weights", experiment=experiment)
        return Known(
            {row[0]: Read(*row) for row in reads},
            tuple(KnownSeries(*row) for row in series),
            tuple(Weight(*row) for row in weights),
        )

    def weights(self, experiment: str) -> tuple[Weight, ...]:
        """The split's history, by time."""
        return tuple(Weight(*row) for row in self._rows("store/weights", experiment=experiment))

    def quality(self, experiment: str) -> Quality | None:
        """What the numbers rest on, as the latest pull left it; None before the first."""
        rows = self._rows("store/latest_pull", experiment=experiment)
        return Quality.from_json(rows[0][1]) if rows else None

    def experiments(self) -> list[str]:
        """Names of all experiments."""
        return [name for (name,) in self._rows("store/experiments")]

    def source(self, experiment: str) -> str | None:
        """Where the latest pull read from; None before the first."""
        rows = self._rows("store/latest_pull", experiment=experiment)
        return str(rows[0][0]) if rows else None

    def attributed(self, experiment: str) -> Mapping[str, frozenset[str]]:
        """Variant → versions whose series the latest pull counted for it, of series that name no variant themselves."""
        found: dict[str, set[str]] = {}
        for variant, version in self._rows("store/attributed", experiment=experiment):
            found.setdefault(variant, set()).add(version)
        return {variant: frozenset(versions) for variant, versions in found.items()}

    def pulled_until(self, experiment: str) -> int | None:
        """Until when the latest pull asked, whether or not there was an answer; None before the first."""
        rows = self._rows("store/latest_pull", experiment=experiment)
        return int(rows[0][2]) if rows else None

    def append_verdict(self, evaluation: Evaluation) -> bool:
        """Keep a verdict and its numbers, unless the experiment's last verdict was the same to the byte.

        Returns:
            Whether it was added.
        """
        document = evaluation.to_json()
        start, end = evaluation.window.start, evaluation.window.end
        values: dict[str, Any] = {
            "experiment": evaluation.experiment,
            "as_of_ms": _milliseconds(evaluation.as_of),
            "window_start_ms": _milliseconds(start),
            "window_end_ms": _milliseconds(end),
            "fingerprint": hashlib.sha256(document.encode()).hexdigest()[:16],
            "spec_hash": evaluation.provenance.spec_hash,
            "abkit_version": evaluation.provenance.abkit_version,
            "verdict": str(evaluation.verdict),
            "document": document,
        }
        if self.exists and [row.document for row in self.verdicts(evaluation.experiment, limit=1)] == [document]:
            return False  # without keeping readers out
        results = [
            {"metric": metric.metric, "variant": metric.variant, "document": metric.model_dump_json()}
            for metric in evaluation.metrics
        ]
        with self._writing() as connection:
            connection.execute("BEGIN")
            rows = run(connection, "store/append_verdict", **values)
            if rows:
                for result in results:
                    run(connection, "store/append_result", verdict_id=rows[0][0], **result)
            connection.execute("COMMIT")
        return bool(rows)

    def verdicts(self, experiment: str, limit: int = 100) -> list[VerdictRow]:
        """Verdicts of an experiment, newest first."""
        return [
            VerdictRow(name, as_of, None if start is None else Window(start, end), *rest)
            for name, as_of, start, end, *rest in self._rows("store/verdicts", experiment=experiment, limit=limit)
        ]

    def latest_documents(self) -> list[str]:
        """The newest verdict of each experiment as JSON, by the experiment's name."""
        return [document for (document,) in self._rows("store/latest_documents")]

    def _rows(self, name: str, **values: Any) -> list[Any]:
        with self._reading() as connection:
            return run(connection, name, **values)

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with connected(self.path, read_only=True, wait=self._wait) as connection:
            current = is_current(check_version(connection, self.path))
            if current:
                yield connection
        if not current:
            # An older abkit's store: bring it up to date, then read.
            with self._writing() as connection:
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with connected(self.path, read_only=False, wait=self._wait) as connection:
            migrate(connection, check_version(connection, self.path))
            yield connection


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
