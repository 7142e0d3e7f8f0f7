"""Plan → controllers that move weights by themselves: Flagger's Canary and Argo's Rollout.

One owner holds the weights: with a controller, abkit's own routes and steps stay away, and its verdicts inform.

References: https://docs.flagger.app/usage/how-it-works, https://docs.flagger.app/usage/deployment-strategies,
https://argo-rollouts.readthedocs.io/en/stable/features/specification/.
"""

from __future__ import annotations

from abkit.routing.rollouts.argo import ArgoRollouts
from abkit.routing.rollouts.flagger import Flagger

__all__ = ["ArgoRollouts", "Flagger"]
