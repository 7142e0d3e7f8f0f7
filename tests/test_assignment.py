from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abkit.assignment import (
    BUCKETS,
    REPLICATE_HEADER,
    REPLICATE_SALT,
    assignment_header,
    bucket,
    bucket_header,
    replicate,
    variant_header,
    variant_of_bucket,
)

PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)
MASK = (1 << 64) - 1


def _xxh64(data: bytes) -> int:
    """xxHash's specification written out (seed 0): what Envoy runs, and no code of ours.

    https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md
    """
    p1, p2, p3, p4, p5 = PRIMES

    def rol(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) & MASK

    def step(acc: int, lane: int) -> int:
        return rol((acc + lane * p2) & MASK, 31) * p1 & MASK

    rest = data
    if len(data) >= 32:
        accs = [(p1 + p2) & MASK, p2, 0, -p1 & MASK]
        while len(rest) >= 32:
            accs = [step(acc, int.from_bytes(rest[8 * i : 8 * i + 8], "little")) for i, acc in enumerate(accs)]
            rest = rest[32:]
        acc = sum(rol(a, bits) for a, bits in zip(accs, (1, 7, 12, 18), strict=True)) & MASK
        for a in accs:
            acc = ((acc ^ step(0, a)) * p1 + p4) & MASK
    else:
        acc = p5
    acc = (acc + len(data)) & MASK
    while len(rest) >= 8:
        acc = (rol(acc ^ step(0, int.from_bytes(rest[:8], "little")), 27) * p1 + p4) & MASK
        rest = rest[8:]
    if len(rest) >= 4:
        acc = (rol(acc ^ (int.from_bytes(rest[:4], "little") * p1 & MASK), 23) * p2 + p3) & MASK
        rest = rest[4:]
    for byte in rest:
        acc = rol(acc ^ (byte * p5 & MASK), 11) * p1 & MASK
    acc = (acc ^ (acc >> 33)) * p2 & MASK
    acc = (acc ^ (acc >> 29)) * p3 & MASK
    return acc ^ (acc >> 32)


@given(st.text(max_size=60), st.text(st.characters(codec="utf-8"), max_size=100))
def test_bucket_is_the_specified_hash_of_salt_colon_unit(salt: str, unit: str) -> None:
    try:
        raw = f"{salt}:{unit}".encode()
    except UnicodeEncodeError:
        return
    assert bucket(salt, unit) == _xxh64(raw) % 10_000


def test_known_answers_never_change() -> None:
    # A change here moves every user of every running experiment.
    assert BUCKETS == 10_000
    assert REPLICATE_SALT == "abkit-replicate"
    assert [bucket("buy-now-button-1", unit) for unit in ("user-42", "", "a", "größe-ü", "x" * 100)] == [
        8640,
        2144,
        1502,
        299,
        2099,
    ]
    assert [replicate(unit) for unit in ("user-42", "a", "größe-ü")] == [14, 21, 7]
    assert replicate("user-42", 256) == _xxh64(b"abkit-replicate:user-42") % 256


def test_header_names() -> None:
    assert bucket_header("checkout") == "x-ab-bucket-checkout"
    assert variant_header("checkout") == "x-ab-variant-checkout"
    assert assignment_header("checkout") == "x-ab-assignment-checkout"
    assert REPLICATE_HEADER == "x-ab-replicate"


def test_split_is_as_asked() -> None:
    weights = {"control": 9_000, "treatment": 1_000}
    ids = [f"user-{number}" for number in range(20_000)]
    got = Counter(variant_of_bucket(bucket("split", unit), weights) for unit in ids)
    # 4 standard errors of a binomial with n = 20,000 and p = 0.1.
    assert abs(got["treatment"] - 2_000) < 4 * (20_000 * 0.1 * 0.9) ** 0.5


def test_salts_make_experiments_independent() -> None:
    ids = [f"user-{number}" for number in range(20_000)]
    both = Counter((bucket("one", unit) < 5_000, bucket("other", unit) < 5_000) for unit in ids)
    expected = len(ids) / 4
    chi2 = sum(
        (both[cell] - expected) ** 2 / expected for cell in ((a, b) for a in (True, False) for b in (True, False))
    )
    assert chi2 < 16.3  # χ²(3) at 0.001


def test_replicates_are_independent_of_buckets_and_even() -> None:
    ids = [f"user-{number}" for number in range(32_000)]
    cells = Counter((bucket("one", unit) < 5_000, replicate(unit)) for unit in ids)
    chi2 = sum((cells[half, rep] - 500) ** 2 / 500 for half in (True, False) for rep in range(32))
    assert chi2 < 103.4  # χ²(63) at 0.001


def test_ramp_moves_users_one_way() -> None:
    ids = [f"user-{number}" for number in range(3_000)]
    treated: set[str] = set()
    for share in (0, 500, 1_000, 2_500, 5_000, 10_000):
        weights = {"control": 10_000 - share, "treatment": share}
        now = {unit for unit in ids if variant_of_bucket(bucket("ramp", unit), weights) == "treatment"}
        assert treated <= now
        treated = now
    assert treated == set(ids)


def test_walk_passes_over_variants_without_weight() -> None:
    weights = {"a": 0, "b": 3, "c": 0, "d": 2, "e": 0}
    assert [variant_of_bucket(index, weights) for index in range(5)] == ["b", "b", "b", "d", "d"]


@pytest.mark.parametrize("index", [-1, 10_000])
def test_bucket_outside_the_weights(index: int) -> None:
    with pytest.raises(ValueError, match="outside 0 … 9999"):
        variant_of_bucket(index, {"control": 5_000, "treatment": 5_000})


def test_import_is_light() -> None:
    heavy = {"numpy", "pandas", "pydantic", "duckdb", "scipy", "pyarrow", "yaml", "re2"}
    code = f"import sys, abkit.assignment; print(sorted({heavy!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
