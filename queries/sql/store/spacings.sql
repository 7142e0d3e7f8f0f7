-- Every moment at which a target was scraped, and the time since the one before. Where a target has process_start_time_seconds, and
-- for most of its time, that series tells of every scrape: the others need not be gone through, which are nearly all that
-- is stored. A series without a target is one of its own. Parameter: $experiment.
WITH
own AS (
  SELECT s.series, s.input, coalesce(nullif(s.target, ''), CAST(s.series AS VARCHAR)) AS target, p.first_ms, p.last_ms
  FROM series AS s JOIN spans AS p ON p.series = s.series
  WHERE s.experiment = $experiment
),
told AS (
  SELECT target
  FROM own
  GROUP BY target
  HAVING 2 * (max(last_ms) FILTER (input = 'process-start') - min(first_ms) FILTER (input = 'process-start'))
    >= max(last_ms) - min(first_ms)
),
telling AS (
  SELECT o.series, o.target
  FROM own AS o LEFT JOIN told AS t ON t.target = o.target
  WHERE o.input = 'process-start' OR t.target IS NULL
)
SELECT target, ts, ts - lag(ts) OVER (PARTITION BY target ORDER BY ts) AS spacing_ms
FROM (SELECT DISTINCT o.target, m.ts FROM samples AS m JOIN telling AS o ON o.series = m.series) AS m
