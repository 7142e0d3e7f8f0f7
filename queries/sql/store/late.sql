-- How many samples of `new_samples` came more than a minute after an earlier pull had read past them. Parameters:
-- $experiment; $from_ms, the earliest from_ms in `pulled`.
SELECT count(*)
FROM new_samples AS n
JOIN new_series AS s ON s.series = n.series
JOIN watermarks AS w ON w.experiment = $experiment AND w.input = s.input
WHERE s.input <> 'process-start' AND n.ts >= w.read_from_ms AND n.ts < w.end_ms - 60000
  AND NOT EXISTS (SELECT 1 FROM samples AS m WHERE m.ts >= $from_ms AND m.series = n.series AND m.ts = n.ts)
