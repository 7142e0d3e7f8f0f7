"""Statistics that hold on Prometheus sums: arrays or sums in, frozen results out; no I/O, no clock, no state.

| question | function |
|---|---|
| a ratio metric of users, constant split | `ratios(…, paired=True)` on hash replicates |
| the same while the split changes | `stratified`: replicates within weight epochs |
| a technical metric with replicates and instances | `two_way` |
| a technical metric by instance alone | `ratios` |
| any other function of totals | `jackknife` |
| a user metric, with a labelled pre-period | `cuped` |
| a quantile of histogram buckets | `bucket_quantile`, `quantiles` |
| values of a gauge | `shift` |
| few events | `counts`, if `count_dispersion` allows it |
| means of independent units | `means` |
| may I look now? | `sequential`: `confidence_sequence`, `group_sequential`, `counts`, `quantile_sequence` |
| did each arm get its share of users? | `srm` |
| several tests at once | `adjust`; `adjust_e` for looks |
| how probable is it that it is better? | `bayes.ratio` |
| what can be found, with how many users, by when? | `power` |
| which weights would a bandit set? | `bandit` |
| does the effect differ between segments? | `interaction`, `heterogeneity` |
| this week and the last; does the lift fade? | `compare_periods`, `novelty` |
| does a series stand out from its own past? | `anomalies` |
| independent events | `proportions`: wrong for repeated visits |

Every result says its method, its unit of replication, its assumption in one sentence, and a `status` that is `ok` or
says why a number is missing. One comparison has Python floats, None where there is no number; many comparisons
(leading axes) have masked arrays.
"""

from __future__ import annotations

from abkit.stats import bayes, power, sequential
from abkit.stats.anomaly import Anomalies, anomalies
from abkit.stats.binomial import proportions
from abkit.stats.clusters import ClusterSums
from abkit.stats.comparison import Comparison
from abkit.stats.covariate import Cuped, cuped
from abkit.stats.heterogeneity import Interaction, heterogeneity, interaction
from abkit.stats.histogram import BucketQuantile, bucket_quantile, quantiles
from abkit.stats.leave_one_out import Jackknife, jackknife
from abkit.stats.moments import Moments, means
from abkit.stats.multiplicity import adjust, adjust_e
from abkit.stats.periods import Novelty, compare_periods, novelty
from abkit.stats.poisson import MAXIMUM_DISPERSION, CountComparison, CountDispersion, count_dispersion, counts
from abkit.stats.ranks import Shift, shift
from abkit.stats.ratio import ratios
from abkit.stats.sample_ratio import SampleRatio, srm
from abkit.stats.small_arms import MINIMUM_EFFECTIVE_CLUSTERS, MINIMUM_LARGER_ARM, SMALL_ARM
from abkit.stats.strata import stratified
from abkit.stats.thompson import BanditProposal, bandit
from abkit.stats.two_way_clusters import two_way

__all__ = [
    "MAXIMUM_DISPERSION",
    "MINIMUM_EFFECTIVE_CLUSTERS",
    "MINIMUM_LARGER_ARM",
    "SMALL_ARM",
    "Anomalies",
    "BanditProposal",
    "BucketQuantile",
    "ClusterSums",
    "Comparison",
    "CountComparison",
    "CountDispersion",
    "Cuped",
    "Interaction",
    "Jackknife",
    "Moments",
    "Novelty",
    "SampleRatio",
    "Shift",
    "adjust",
    "adjust_e",
    "anomalies",
    "bandit",
    "bayes",
    "bucket_quantile",
    "compare_periods",
    "count_dispersion",
    "counts",
    "cuped",
    "heterogeneity",
    "interaction",
    "jackknife",
    "means",
    "novelty",
    "power",
    "proportions",
    "quantiles",
    "ratios",
    "sequential",
    "shift",
    "srm",
    "stratified",
    "two_way",
]
