-- What each variant counted of a metric's numerator. Parameters: $experiment, $metric.
SELECT f.variant, CAST(sum(f.total) AS DOUBLE) AS total
FROM facts AS f
WHERE f.experiment = $experiment
  AND f.input IN (SELECT input FROM inputs WHERE experiment = $experiment AND metric = $metric AND role = 'numerator')
GROUP BY f.variant
ORDER BY f.variant
