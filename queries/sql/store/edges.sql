-- Bucket bounds that all instances of a variant expose, with events or without: facts know no bucket without events, and an
-- edge that an instance lacks would have too few events. Parameters: $experiment; $start_ms, $end_ms: the window, half-open.
WITH
seen AS (
  SELECT DISTINCT s.input, s.variant, s.instance, s.le
  FROM series AS s
  WHERE s.experiment = $experiment AND s.variant <> '' AND s.le IS NOT NULL AND NOT isnan(s.le)
    AND s.series IN (SELECT p.series FROM spans AS p WHERE p.last_ms >= $start_ms AND p.first_ms < $end_ms)
),
counted AS (
  SELECT input, variant, count(DISTINCT instance) AS instances FROM seen GROUP BY input, variant
)
SELECT s.input, s.variant, s.le
FROM seen AS s JOIN counted AS c ON c.input = s.input AND c.variant = s.variant
GROUP BY s.input, s.variant, s.le, c.instances
HAVING count(*) = c.instances
ORDER BY s.input, s.variant, s.le
