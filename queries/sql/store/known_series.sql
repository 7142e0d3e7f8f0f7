-- Every series of an experiment, with its first and its last sample. Parameter: $experiment.
SELECT s.series, s.input, s.labels, m.first_ms, m.last_ms
FROM series AS s
LEFT JOIN spans AS m ON m.series = s.series
WHERE s.experiment = $experiment
ORDER BY s.series
