-- Values of gauges as they were sampled, into `increments` with flag 32: of the ranges in `pulled`, and the first one of each series
-- after its range. NaN, infinite and absurd ones (1e18 or more) are dropped. Parameters: $experiment; $from_ms, the earliest
-- from_ms in `pulled`.
INSERT INTO increments
WITH
own AS (
  SELECT s.series, p.from_ms, p.to_ms, w.start_ms, w.end_ms
  FROM series AS s
  JOIN pulled AS p ON p.input = s.input
  JOIN watermarks AS w ON w.experiment = s.experiment AND w.input = s.input
  WHERE s.experiment = $experiment
    AND s.input IN (SELECT input FROM inputs WHERE experiment = $experiment AND role = 'value')
),
later AS (
  SELECT o.series, min(m.ts) AS ts
  FROM own AS o JOIN samples AS m ON m.series = o.series AND m.ts >= o.to_ms
  GROUP BY o.series
)
SELECT o.series, NULL, m.ts, m.value, 32
FROM own AS o
JOIN samples AS m ON m.series = o.series AND m.ts >= $from_ms AND m.ts >= o.from_ms
LEFT JOIN later AS l ON l.series = o.series
WHERE (m.ts < o.to_ms OR m.ts = l.ts) AND m.ts >= o.start_ms AND m.ts < o.end_ms
  AND isfinite(m.value) AND abs(m.value) < 1e18
ORDER BY o.series, m.ts
