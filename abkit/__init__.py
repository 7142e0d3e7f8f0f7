"""A/B tests and canaries on a service mesh, decided from the Prometheus you already run.

Importing the package is cheap: everything heavy lies in its modules and is loaded by whoever asks for it.

>>> from abkit import stats
>>> result = stats.proportions(control=(480, 10_000), treatment=(560, 10_000))
>>> round(result.p_value, 5)
0.01083
"""

__version__ = "0.1.0"
