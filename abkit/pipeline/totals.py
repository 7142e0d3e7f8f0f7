"""The store's totals as dense arrays: looks × weight epochs × clusters, cumulative over looks.

A cluster is a hash replicate, an instance, or a cell of both. Series that know how their requests were assigned count
only where they were randomised (`ab_assignment="hash"`); `Totals.everyone` counts all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["RANDOMISED", "Totals", "fingerprint", "histogram_defect"]

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
        fingerprint: Hash of all rows, and of the bounds (16 hex digits).
        bounds: Bucket bounds by input and variant, as `Store.edges` returns them; None where only buckets that counted
            something are known.
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
    bounds: Mapping[tuple[str, str], tuple[float, ...]] | None = field(default=None)

    @classmethod
    def read(
        cls,
        table: pa.Table,
        looks: int,
        seconds: float,
        edges: Mapping[tuple[str, str], tuple[float, ...]] | None = None,
    ) -> Totals:
        """Columns of what `Store.totals` returns.

        Args:
            table: The totals.
            looks: Number of looks in the window.
            seconds: Length of the window.
            edges: What `Store.edges` returns for the same window. Without it, buckets that counted nothing are not
                known, and a quantile may be interpolated from too low an edge.
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
        if edges:
            digest.update(str(sorted(edges.items())).encode())
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
            bounds=edges,
        )

    def everyone(self) -> Totals:
        """The same totals, of all requests however assigned: what limits on one variant alone are about."""
        return replace(self, assignment=np.full_like(self.assignment, ""))

    def only(self, inputs: Collection[str]) -> Totals:
        """The same totals, of some inputs alone."""
        kept = np.isin(self.input, np.asarray(sorted(inputs), dtype=np.str_))
        columns = ("input", "variant", "assignment", "replicate", "instance", "le", "epoch", "look", "total")
        return replace(self, **{name: getattr(self, name)[kept] for name in columns})

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
        """Cumulative bucket counts at these edges, shape (look, epoch, instance, edge), cumulative over looks.

        Each edge must be one of the variant's own: counts are exact there. Its other edges are left out.
        """
        mask = self.rows(input_id, variant) & np.isin(self.le, edges)
        codes = (self._instance_codes(mask, names), np.searchsorted(edges, self.le))
        counts = self._dense(mask, codes, (len(names), len(edges)))
        # A restart that nobody could see may leave a lower bucket above a higher one.
        return np.maximum.accumulate(counts, axis=-1)

    def edges(self, input_id: str, variant: str) -> Floats:
        """Bucket bounds of a variant, rising; empty without any.

        Each variant has its own: a bound that the other one has was never counted here, which is not a count of 0.
        """
        if self.bounds is None:
            found = self.le[self.rows(input_id, variant)]
        else:
            found = np.asarray(self.bounds.get((input_id, variant), ()), dtype=np.float64)
        # A bound of -Inf bounds nothing.
        return np.unique(found[~np.isnan(found) & (found > -np.inf)])

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


def fingerprint(*read: Totals | None) -> str:
    """Hash of all that was read (16 hex digits); of one read it is its own."""
    marks = [totals.fingerprint for totals in read if totals is not None]
    return marks[0] if len(marks) == 1 else hashlib.sha256(" ".join(marks).encode()).hexdigest()[:16]


def histogram_defect(edges: Floats, whose: str) -> str:
    """Why no quantile can be read from a histogram with these bucket bounds; empty where one can.

    >>> histogram_defect(np.array([0.1, np.inf]), "v2")
    ''
    >>> histogram_defect(np.array([0.1, 0.5]), "v2")
    'the histogram of v2 has no bucket le="+Inf", so its counts are not whole: keep that bucket when scraping'
    """
    if not edges.size:
        return f"the histogram of {whose} has no bucket bounds (label le): name its _bucket series, and keep the label"
    if edges[-1] != np.inf:
        return (
            f'the histogram of {whose} has no bucket le="+Inf", so its counts are not whole: '
            "keep that bucket when scraping"
        )
    if edges.size == 1:
        return f'the histogram of {whose} has the bucket le="+Inf" alone, which says nothing of its times: add buckets'
    return ""


def _text(column: pa.Array) -> NDArray[np.str_]:
    return np.asarray(column.fill_null("").to_pylist(), dtype=np.str_)
