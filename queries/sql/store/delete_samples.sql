-- What is about to be inserted anew: the samples of the ranges in `pulled`. Parameter: $experiment.
DELETE FROM samples
USING series AS s, pulled AS p
WHERE samples.series = s.series AND s.experiment = $experiment AND p.input = s.input
  AND samples.ts >= p.from_ms AND samples.ts < p.to_ms
