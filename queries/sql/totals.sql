-- Totals of a window by what tells units apart. Parameters: $experiment; $start_ms, $end_ms: the window, half-open; $step_ms: length
-- of a look, or NULL for one; $wanted: ids of inputs, or NULL for all. Only cells that lie wholly in the window count.
WITH
epochs AS (
  SELECT from_ms, lead(from_ms) OVER (ORDER BY from_ms) AS to_ms
  FROM (
    SELECT 0 AS from_ms
    UNION
    SELECT from_ms FROM weights WHERE experiment = $experiment
  ) AS e
),
starts AS (
  SELECT s.start_ms, e.from_ms AS epoch, CAST(coalesce(floor((s.start_ms - $start_ms) / $step_ms), 0) AS INTEGER) AS look
  FROM (
    SELECT DISTINCT start_ms FROM facts WHERE experiment = $experiment AND start_ms >= $start_ms AND end_ms <= $end_ms
  ) AS s
  JOIN epochs AS e ON e.from_ms <= s.start_ms AND (e.to_ms > s.start_ms OR e.to_ms IS NULL)
)
SELECT
  f.input,
  f.variant,
  f.assignment,
  f.replicate,
  f.instance,
  f.le,
  s.epoch,
  s.look,
  CAST(sum(f.total) AS DOUBLE) AS total
FROM facts AS f JOIN starts AS s ON s.start_ms = f.start_ms
WHERE f.experiment = $experiment AND f.start_ms >= $start_ms AND f.end_ms <= $end_ms
  AND ($wanted IS NULL OR list_contains(CAST($wanted AS VARCHAR[]), f.input))
GROUP BY f.input, f.variant, f.assignment, f.replicate, f.instance, f.le, s.epoch, s.look
ORDER BY f.input, s.look, s.epoch, f.variant, f.assignment, f.replicate, f.instance, f.le
