-- Metrics of a variant that are no longer exposed though their targets are scraped on, more than $tolerance_ms beyond the metric's
-- last sample of the variant: what follows would be read as zero. Not those of processes that began anew since: a counter of
-- rare events appears with its first one. Parameters: $experiment, $tolerance_ms.
WITH
own AS (
  SELECT series, input, variant, target, json_extract_string(labels, '$.__name__') AS name
  FROM series
  WHERE experiment = $experiment AND target <> ''
),
ends AS (
  SELECT p.series, p.last_ms FROM spans AS p JOIN own AS o ON o.series = p.series
),
scraped AS (
  SELECT o.target, max(e.last_ms) AS last_ms FROM ends AS e JOIN own AS o ON o.series = e.series GROUP BY o.target
),
counted AS (
  SELECT o.series, o.input, o.variant, o.target, o.name, e.last_ms
  FROM own AS o JOIN ends AS e ON e.series = o.series
  WHERE o.variant <> '' AND o.input IN (SELECT input FROM inputs WHERE experiment = $experiment)
),
arms AS (
  SELECT variant, input, max(last_ms) AS last_ms FROM counted GROUP BY variant, input
),
begun AS (
  SELECT o.target, max(m.value) * 1000 AS started_ms
  FROM samples AS m JOIN own AS o ON o.series = m.series
  WHERE o.input = 'process-start'
  GROUP BY o.target
  UNION ALL
  SELECT o.target, max(i.ts)
  FROM increments AS i JOIN own AS o ON o.series = i.series
  WHERE i.flags & 1 <> 0
  GROUP BY o.target
)
SELECT c.variant || '/' || c.name AS what, count(*) AS series
FROM counted AS c
JOIN arms AS a ON a.variant = c.variant AND a.input = c.input
JOIN scraped AS t ON t.target = c.target
LEFT JOIN (SELECT target, max(started_ms) AS started_ms FROM begun GROUP BY target) AS b ON b.target = c.target
WHERE t.last_ms > a.last_ms + $tolerance_ms AND coalesce(b.started_ms <= c.last_ms, TRUE)
GROUP BY what
ORDER BY what
