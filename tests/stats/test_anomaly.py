from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from abkit import stats
from abkit.errors import InputError
from abkit.stats import anomalies
from tests.stats.worlds import assert_clean


def _load(seed: int, seasons: int = 10, period: int = 24, noise: float = 2.0) -> np.ndarray:
    t = np.arange(seasons * period)
    noises = np.random.default_rng(seed).normal(0, noise, t.size)
    return np.asarray(100 + 0.03 * t + 30 * np.sin(t * 2 * np.pi / period) + noises)


@pytest.mark.parametrize(("seasons", "period"), [(4, 24), (12, 24), (8, 7)])
def test_quiet_series_are_quiet(seasons: int, period: int) -> None:
    worlds = 60
    alarms = [stats.anomalies(_load(w, seasons, period), period).anomalous.any() for w in range(worlds)]
    # 1 % a series is promised; sixty series allow for chance.
    assert np.mean(alarms) <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / worlds) + 1 / worlds
    found = stats.anomalies(_load(1, seasons, period), period)
    assert found.scale == pytest.approx(2.0, rel=0.35)
    assert_clean(found)


def test_what_stands_out_is_found_and_nothing_else() -> None:
    found_at = []
    for seed in range(20):
        x = _load(seed)
        x[[50, 200]] += [16, -16]
        found_at.append(np.flatnonzero(stats.anomalies(x, 24).anomalous).tolist())
    assert sum(found == [50, 200] for found in found_at) >= 18


def test_the_last_hours_against_the_past_alone() -> None:
    x = _load(3)
    x[-6:] += 15
    found = stats.anomalies(x, 24, judged=6)
    assert found.anomalous[-6:].all()
    assert not found.anomalous[:-6].any()
    # What the past expects doesn't depend on what came.
    other = x.copy()
    other[-6:] = 1e6
    again = stats.anomalies(other, 24, judged=6)
    np.testing.assert_allclose(found.expected, again.expected)
    assert found.scale == again.scale
    assert not stats.anomalies(_load(3), 24, judged=6).anomalous.any()


def test_missing_values_are_no_anomalies_and_hide_none() -> None:
    x: Any = _load(4).tolist()
    for i in (10, 11, 12, 100, 201):
        x[i] = None
    x[60] += 20
    found = stats.anomalies(x, 24)
    assert np.flatnonzero(found.anomalous).tolist() == [60]
    assert np.flatnonzero(found.filled).tolist() == [10, 11, 12, 100, 201]
    assert found.score.tolist()[100] is None
    assert found.expected.tolist()[100] == pytest.approx(100 + 3 + 30 * np.sin(100 * 2 * np.pi / 24), abs=5)
    assert_clean(found)


def test_units_do_not_matter_and_logarithms_do() -> None:
    x = _load(5)
    x[70] += 20
    one, other = stats.anomalies(x, 24), stats.anomalies(x * 1e-6, 24)
    assert (one.anomalous == other.anomalous).all()
    np.testing.assert_allclose(one.score, other.score, rtol=1e-6)
    swings = np.exp(_load(6, noise=2.0) / 30)
    swings[150] *= 3
    logged = stats.anomalies(swings, 24, logarithm=True)
    assert np.flatnonzero(logged.anomalous).tolist() == [150]
    assert logged.expected[10] == pytest.approx(swings[10], rel=0.4)


def test_reasons_and_nonsense() -> None:
    for values, words in (
        (np.ones(50), "fewer than 3 seasons of 24 steps"),
        ([], "fewer than 3 seasons"),
        ([None] * 60 + [1.0] * 40, "more than half of the values are missing"),
        ([None, *[1.0] * 23] * 5, "a place in the season has no value at all"),
    ):
        found = stats.anomalies(values, 24)
        assert words in found.status
        assert not found.anomalous.any()
        assert_clean(found)
    same = stats.anomalies(np.tile(np.arange(7.0), 6), 7)
    assert same.status == "ok"
    assert not same.anomalous.any()
    assert stats.anomalies(np.zeros(60), 7).status == "ok"
    nonsense: list[tuple[Callable[[], Any], str]] = [
        (lambda: stats.anomalies(np.ones((3, 3)), 2), "one axis"),
        (lambda: stats.anomalies(np.ones(30), 1), "at least 2"),
        (lambda: stats.anomalies(np.ones(30), 2, judged=31), "there are 30"),
    ]
    for call, words in nonsense:
        with pytest.raises(ValueError, match=words):
            call()


def test_without_statsmodels_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("statsmodels"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "statsmodels.tsa.seasonal", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(InputError, match=r"pip install 'abkit\[anomalies\]'"):
        stats.anomalies(_load(1), 24)


class TestWeights:
    HOURS = np.arange(24 * 14)

    def series(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Conversions of few users by night and many by day."""
        rng = np.random.default_rng(seed)
        views = rng.poisson(4_000 * (1.01 + np.sin(self.HOURS * 2 * np.pi / 24)))
        return rng.binomial(views, 0.1) / np.maximum(views, 1), views.astype(float)

    def test_the_nights_noise_is_no_anomaly(self) -> None:
        # Each hour in four of a night has a hundredth of a day's users: ten times the noise.
        plain, weighted = 0, 0
        for seed in range(25):
            values, views = self.series(seed)
            plain += bool(anomalies(values, 24).anomalous.any())
            weighted += bool(anomalies(values, 24, weights=views).anomalous.any())
        assert plain > 15
        assert weighted <= 3

    def test_the_band_is_where_nothing_stands_out(self) -> None:
        values, views = self.series(1)
        views[50] = 0
        values[200] += 0.05
        found = anomalies(values, 24, weights=views)
        inside = (values >= found.low) & (values <= found.high)
        assert np.flatnonzero(~inside.filled(True)).tolist() == np.flatnonzero(found.anomalous).tolist() == [200]
        assert found.filled[50]
        assert found.high[44] - found.low[44] > found.high[30] - found.low[30], "wide by night"

    def test_equal_weights_change_nothing(self) -> None:
        values, _ = self.series(2)
        one, other = anomalies(values, 24), anomalies(values, 24, weights=np.full(values.size, 7.0))
        np.testing.assert_allclose(one.score, other.score, rtol=1e-9)

    @pytest.mark.parametrize("weights", [np.ones(3), -np.ones(336), np.full(336, np.nan)])
    def test_malformed(self, weights: np.ndarray) -> None:
        with pytest.raises(ValueError, match="weights"):
            anomalies(self.series(1)[0], 24, weights=weights)
