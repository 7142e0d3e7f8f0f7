"""The example recording: a simulated world as a Parquet file, the same bytes each time.

`python -m abkit.simulate.recording data` writes `data/recordings/buy-now-button.parquet` and its truth beside it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from abkit.simulate.simulation import Simulation, labels_text, run
from abkit.simulate.world import HOUR, MINUTE, Arm, Effects, Gap, Mesh, Pod, Shop, Users, World

__all__ = ["METADATA", "example_world", "main", "write_recording"]

METADATA = b"abkit.recording"
"""The metadata key that makes a Parquet file a recording."""

_ROWS = 1 << 18
_NAME = "buy-now-button"
_DESCRIPTION = (
    "Simulated: an online shop's service in two versions over a Sunday and a Monday. A larger buy-now button (v2) "
    "truly raises conversion by 8 % and the click rate by 5 %, and leaves page load time, errors and latency as they "
    "are. One pod of v1 is evicted and replaced, one of v2 restarts, one of v2 is born midway; the scrapes have two "
    "gaps."
)


def example_world() -> World:
    """The world behind the example recording: 48 hours from 2026-11-01, scraped every three minutes."""
    start = 1_793_491_200_000  # 2026-11-01T00:00Z
    minute = MINUTE

    def at(hours: int, minutes: int, milliseconds: int = 0) -> int:
        return start + hours * HOUR + minutes * minute + milliseconds

    evicted = at(30, 12, 31_400)
    return World(
        experiment=_NAME,
        seed=1,
        salt=f"{_NAME}-1",
        arms=(
            Arm("control", "v1", 5_000),
            Arm("treatment", "v2", 5_000, Effects(conversion=0.08, click_rate=0.05)),
        ),
        pods=(
            Pod("my-service-v1-0", "v1", "10.0.0.11:8080"),
            Pod("my-service-v1-1", "v1", "10.0.0.12:8080", died_ms=evicted),
            Pod("my-service-v1-2", "v1", "10.0.0.13:8080"),
            Pod("my-service-v1-3", "v1", "10.0.0.14:8080", born_ms=evicted - 9_000),
            Pod("my-service-v2-0", "v2", "10.0.1.11:8080"),
            Pod("my-service-v2-1", "v2", "10.0.1.12:8080", restarts=(at(17, 23, 48_200),)),
            Pod("my-service-v2-2", "v2", "10.0.1.13:8080"),
            Pod("my-service-v2-3", "v2", "10.0.1.14:8080", born_ms=at(34, 5, 12_700)),
        ),
        gaps=(Gap(at(9, 40), at(9, 52), "my-service-v1-2"), Gap(at(26, 30), at(26, 41))),
        start_ms=start,
        end_ms=start + 48 * HOUR,
        scrape_interval_ms=3 * minute,
        users=Users(count=160_000, views=12.0, stay_ms=8 * HOUR),
        shop=Shop(conversion_users=20.0),
        mesh=Mesh(requests=4.0, pods=0.005),
        time_quantum=2.0**-7,
    )


def write_recording(simulation: Simulation, path: Path, description: str) -> None:
    """Write a simulation's samples as a recording: the same simulation gives the same bytes.

    Args:
        simulation: The simulation.
        path: The file; what it held is lost.
        description: What it is, in a sentence or two; kept in the file.
    """
    samples, world = simulation.samples, simulation.world
    header = {
        "description": description,
        "end_ms": world.end_ms,
        "scrape_interval_ms": world.scrape_interval_ms,
        "seed": world.seed,
        "start_ms": world.begin_ms,
    }
    fields = [
        pa.field("labels", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("timestamp", pa.int64(), nullable=False),
        pa.field("value", pa.float64(), nullable=False),
    ]
    schema = pa.schema(fields, metadata={METADATA: json.dumps(header, sort_keys=True, ensure_ascii=False).encode()})
    texts = [labels_text(labels) for labels in samples.labels]
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=19,
        use_dictionary=["labels"],
        column_encoding={"timestamp": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"},
        write_statistics=True,
    ) as writer:
        for start in range(0, len(samples.series), _ROWS):
            rows = slice(start, start + _ROWS)
            series = samples.series[rows]
            # Each group of rows with a dictionary of its own series only: the whole one would be repeated in each.
            first, last = int(series[0]), int(series[-1])
            coded = pa.DictionaryArray.from_arrays(
                pa.array(series - np.int32(first)), pa.array(texts[first : last + 1])
            )
            columns = [coded, pa.array(samples.timestamps[rows]), pa.array(samples.values[rows])]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=_ROWS)


def main(folder: Path) -> Simulation:
    """Write the example recording and its truth into a data folder.

    Args:
        folder: Holds, or will hold, `recordings/`.
    """
    simulation = run(example_world())
    place = folder / "recordings"
    place.mkdir(parents=True, exist_ok=True)
    write_recording(simulation, place / f"{_NAME}.parquet", _DESCRIPTION)
    (place / f"{_NAME}.truth.json").write_text(simulation.truth_json(), encoding="utf-8")
    return simulation


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m abkit.simulate.recording FOLDER (the data folder)")
    done = main(Path(sys.argv[1]))
    print(f"{len(done.samples.values):,} samples of {len(done.samples.labels):,} series")  # noqa: T201
