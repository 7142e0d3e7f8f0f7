-- What was read of each input, and from where on its increments are kept. Parameter: $experiment.
SELECT w.input, w.read_from_ms, w.start_ms, w.end_ms, NULL AS first_ms, k.from_ms AS kept_from_ms
FROM watermarks AS w LEFT JOIN kept AS k ON k.experiment = w.experiment AND k.input = w.input
WHERE w.experiment = $experiment ORDER BY w.input
