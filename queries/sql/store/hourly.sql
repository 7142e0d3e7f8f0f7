-- Totals by hour of the clock, input, variant and assignment. Parameters: $experiment; $start_ms, $end_ms: the window, half-open;
-- $wanted: ids of inputs. Only cells that lie wholly in the window count.
SELECT
  f.input,
  f.variant,
  f.assignment,
  f.start_ms - f.start_ms % 3600000 AS hour_ms,
  CAST(sum(f.total) AS DOUBLE) AS total
FROM facts AS f
WHERE f.experiment = $experiment AND f.start_ms >= $start_ms AND f.end_ms <= $end_ms
  AND list_contains(CAST($wanted AS VARCHAR[]), f.input)
GROUP BY f.input, f.variant, f.assignment, hour_ms
ORDER BY f.input, f.variant, f.assignment, hour_ms
