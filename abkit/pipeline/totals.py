"""The store's totals as dense arrays: looks × weight epochs × clusters, cumulative over looks.

A cluster is a hash replicate, an instance, or a cell of both. Series that know how their requests were assigned count
only where they were randomised (`ab_assignment="hash"`).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["RANDOMISED", "Totals"]

RANDOMISED = "hash"
"""The label value of what was randomised; everything else is another population."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Totals:
    """Columns of the store's totals.

    Attributes:
        input: Input id, one a row.
        variant: Variant's name.
        assignment: How the requests were assigned; empty where the series don't say.
        replicate: Hash replicate; -1 where the series have none.
        instance: Instance; empty where it is not kept.
        le: Upper bound of a histogram bucket; NaN where there is none.
        epoch: Index into `epochs`.
        look: Index of the look.
        total: Sum of the increments.
        epochs: Starts of the weight epochs, milliseconds.
        looks: Number of looks.
        seconds: Length of the window.
        fingerprint: Hash of all rows (16 hex digits).
    """

    input: NDArray[np.str_]
    variant: NDArray[np.str_]
    assignment: NDArray[np.str_]
    replicate: NDArray[np.int64]
    instance: NDArray[np.str_]
    le: Floats
    epoch: NDArray[np.int64]
    look: NDArray[np.int64]
    total: Floats
    epochs: tuple[int, ...]
    looks: int
    seconds: float
    fingerprint: str

    @classmethod
    def read(cls, table: pa.Table, looks: int, seconds: float) -> Totals:
        """Columns of what `Store.totals` returns.

        Args:
            table: The totals.
            looks: Number of looks in the window.
            seconds: Length of the window.
        """
        # In one order whatever the database's: sums of floats depend on it, and equal inputs must give equal bytes.
        table = table.sort_by([(name, "ascending") for name in table.column_names])
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        digest = hashlib.sha256()
        for name, column in columns.items():
            digest.update(name.encode())
            digest.update(str(column.to_pylist()).encode() if pa.types.is_string(column.type) else b"")
            if not pa.types.is_string(column.type):
                digest.update(column.fill_null(-1).to_numpy(zero_copy_only=False).tobytes())
        starts, epoch = np.unique(columns["epoch"].to_numpy(zero_copy_only=False), return_inverse=True)
        return cls(
            input=_text(columns["input"]),
            variant=_text(columns["variant"]),
            assignment=_text(columns["assignment"]),
            replicate=columns["replicate"].to_numpy(zero_copy_only=False).astype(np.int64),
            instance=_text(columns["instance"]),
            le=columns["le"].fill_null(np.nan).to_numpy(zero_copy_only=False),
            epoch=epoch.astype(np.int64),
            look=np.minimum(columns["look"].to_numpy(zero_copy_only=False).astype(np.int64), looks - 1),
            total=columns["total"].to_numpy(zero_copy_only=False),
            epochs=tuple(int(start) for start in starts),
            looks=looks,
            seconds=seconds,
            fingerprint=digest.hexdigest()[:16],
        )

    def rows(self, input_id: str, variant: str | None = None) -> NDArray[np.bool_]:
        """Rows of an input that may be compared: the randomised ones, or all where the series don't say."""
        mine: NDArray[np.bool_] = self.input == input_id
        if (self.assignment[mine] != "").any():
            mine &= self.assignment == RANDOMISED
        return mine if variant is None else np.logical_and(mine, self.variant == variant)

    def any_rows(self, input_id: str, variant: str | None = None) -> NDArray[np.bool_]:
        """Rows of an input, however assigned."""
        mine: NDArray[np.bool_] = self.input == input_id
        return mine if variant is None else np.logical_and(mine, self.variant == variant)

    def replicated(self, input_id: str) -> bool:
        """Whether all of an input's series carry hash replicates."""
        mine = self.replicate[self.rows(input_id)]
        return bool(mine.size) and bool((mine >= 0).all())

    def instances(self, input_id: str, variant: str) -> list[str]:
        """Instances of a variant with increments of an input, sorted; empty where instances aren't kept."""
        return sorted(set(self.instance[self.rows(input_id, variant)].tolist()) - {""})

    def sum(self, input_id: str, variant: str) -> float:
        """Total of an input over the whole window."""
        return float(self.total[self.rows(input_id, variant)].sum())

    def by_replicate(self, input_id: str, variant: str, replicates: int) -> Floats:
        """Totals, shape (look, epoch, replicate), cumulative over looks."""
        mask = self.rows(input_id, variant) & (self.replicate >= 0)
        return self._dense(mask, (self.replicate,), (replicates,))

    def by_instance(self, input_id: str, variant: str, names: list[str]) -> Floats:
        """Totals, shape (look, epoch, instance), cumulative over looks."""
        mask = self.rows(input_id, variant)
        return self._dense(mask, (self._instance_codes(mask, names),), (len(names),))

    def by_cell(self, input_id: str, variant: str, replicates: int, names: list[str]) -> Floats:
        """Totals, shape (look, epoch, replicate, instance), cumulative over looks."""
        mask = self.rows(input_id, variant) & (self.replicate >= 0)
        return self._dense(mask, (self.replicate, self._instance_codes(mask, names)), (replicates, len(names)))

    def by_bucket(self, input_id: str, variant: str, names: list[str], edges: Floats) -> Floats:
        """Cumulative bucket counts, shape (look, epoch, instance, edge), cumulative over looks."""
        mask = self.rows(input_id, variant) & ~np.isnan(self.le)
        codes = (self._instance_codes(mask, names), np.searchsorted(edges, np.nan_to_num(self.le, nan=0.0)))
        counts = self._dense(mask, codes, (len(names), len(edges)))
        # A restart that nobody could see may leave a lower bucket above a higher one.
        return np.maximum.accumulate(counts, axis=-1)

    def edges(self, input_id: str) -> Floats:
        """Bucket bounds of an input, rising; empty without any."""
        bounds = self.le[self.rows(input_id)]
        return np.unique(bounds[~np.isnan(bounds)])

    def by_variant(self, input_id: str, variants: list[str]) -> Floats:
        """Totals of the whole window, shape (epoch, variant)."""
        counts = [self._dense(self.rows(input_id, name), (), ())[-1] for name in variants]
        return np.stack(counts, axis=-1)

    def _instance_codes(self, mask: NDArray[np.bool_], names: list[str]) -> NDArray[np.int64]:
        codes = np.zeros(len(self.total), dtype=np.int64)
        codes[mask] = np.searchsorted(np.asarray(names, dtype=np.str_), self.instance[mask])
        return codes

    def _dense(self, mask: NDArray[np.bool_], codes: tuple[NDArray[np.int64], ...], shape: tuple[int, ...]) -> Floats:
        full = (self.looks, max(len(self.epochs), 1), *shape)
        cells = np.zeros(full)
        np.add.at(cells, (self.look[mask], self.epoch[mask], *(code[mask] for code in codes)), self.total[mask])
        return np.cumsum(cells, axis=0)


def _text(column: pa.Array) -> NDArray[np.str_]:
    return np.asarray(column.fill_null("").to_pylist(), dtype=np.str_)
