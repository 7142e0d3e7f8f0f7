"""Totals of sticky users, without times and pods: what Monte Carlo tests of the pipeline stand on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from abkit.spec import Role
from tests.pipeline.buckets import Row

__all__ = ["REPLICATES", "Crowd"]

REPLICATES = 32
ARMS = ("control", "treatment")

Floats = NDArray[np.float64]


class Crowd:
    """Users with an activity and a conversion of their own, which they keep.

    Args:
        seed: All randomness comes from it.
        users: How many.
    """

    def __init__(self, seed: int, users: int = 2_000) -> None:
        self.rng = np.random.default_rng(seed)
        self.users = users
        self.arm = self.rng.integers(0, 2, users)
        self.replicate = self.rng.integers(0, REPLICATES, users)
        self.rate = self.rng.gamma(0.5, 2.0, users)
        self.conversion = self.rng.beta(0.8, 7.2, users)

    def rows(
        self,
        inputs: Mapping[Role, str],
        views: float,
        lift: float = 0.0,
        *,
        look: int = 0,
        epoch: int = 0,
        assignment: str = "hash",
        among: NDArray[np.bool_] | None = None,
    ) -> list[Row]:
        """What some of the users do in one look.

        Args:
            inputs: Ids of the metric's inputs.
            views: Page views a user of mean activity.
            lift: Of the treatment's conversion.
            look: Which look.
            epoch: Which weight epoch.
            assignment: The label `ab_assignment`.
            among: The users; all where left out.
        """
        views_of = self.rng.poisson(self.rate * views)
        if among is not None:
            views_of = np.where(among, views_of, 0)
        chance = np.minimum(self.conversion * np.where(self.arm == 1, 1 + lift, 1.0), 1.0)
        bought = self.rng.binomial(views_of, chance)
        rows = []
        for role, amount in ((Role.DENOMINATOR, views_of), (Role.NUMERATOR, bought)):
            cells = np.bincount(self.arm * REPLICATES + self.replicate, amount, 2 * REPLICATES)
            for cell in np.flatnonzero(cells).tolist():
                rows.append(
                    Row(
                        inputs[role],
                        ARMS[cell // REPLICATES],
                        float(cells[cell]),
                        assignment,
                        cell % REPLICATES,
                        "",
                        epoch=epoch,
                        look=look,
                    )
                )
        return rows
