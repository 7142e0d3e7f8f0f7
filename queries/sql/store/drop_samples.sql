-- Drops what is older than the retention, before each input's own watermark: increments from before a full hour, samples from an
-- hour before that. What later increments build on stays: of each series the last sample before, and the last one that is a
-- counter's; of each target the moments around a change of its process' start. Parameters: $experiment, $keep_ms.
CREATE TEMP TABLE horizons AS
WITH
ends AS (
  SELECT input, end_ms - $keep_ms - (end_ms - $keep_ms) % 3600000 AS from_ms
  FROM watermarks WHERE experiment = $experiment
),
wanted AS (
  SELECT input, CASE WHEN input = 'process-start' THEN (SELECT min(from_ms) FROM ends) ELSE from_ms END AS from_ms
  FROM ends
)
SELECT w.input, w.from_ms
FROM wanted AS w
JOIN watermarks AS m ON m.experiment = $experiment AND m.input = w.input
LEFT JOIN kept AS k ON k.experiment = $experiment AND k.input = w.input
WHERE w.from_ms > coalesce(k.from_ms, m.start_ms);
CREATE TEMP TABLE bases AS
SELECT m.series, max(m.ts) AS last_ms, max(m.ts) FILTER (m.value >= 0 AND m.value < 1e18) AS usable_ms
FROM samples AS m
JOIN series AS s ON s.series = m.series
JOIN horizons AS h ON h.input = s.input
WHERE s.experiment = $experiment AND m.ts < h.from_ms - 3600000
GROUP BY m.series;
CREATE TEMP TABLE turns AS
SELECT target, ts
FROM (
  SELECT
    target,
    ts,
    started,
    lag(started) OVER (PARTITION BY target ORDER BY ts) AS before,
    lead(started) OVER (PARTITION BY target ORDER BY ts) AS after
  FROM (
    SELECT s.target, m.ts, max(m.value) AS started
    FROM samples AS m JOIN series AS s ON s.series = m.series
    WHERE s.experiment = $experiment AND s.input = 'process-start'
    GROUP BY s.target, m.ts
  ) AS p
) AS t
WHERE started IS DISTINCT FROM before OR started IS DISTINCT FROM after;
DELETE FROM samples
USING series AS s, horizons AS h, bases AS b
WHERE samples.series = s.series AND s.experiment = $experiment AND h.input = s.input AND b.series = s.series
  AND samples.ts < h.from_ms - 3600000 AND samples.ts <> b.last_ms AND samples.ts IS DISTINCT FROM b.usable_ms
  AND NOT (s.input = 'process-start' AND (s.target, samples.ts) IN (SELECT (target, ts) FROM turns));
DELETE FROM increments
USING series AS s, horizons AS h
WHERE increments.series = s.series AND s.experiment = $experiment AND h.input = s.input AND increments.ts < h.from_ms;
DELETE FROM kept WHERE experiment = $experiment AND input IN (SELECT input FROM horizons);
INSERT INTO kept SELECT $experiment, input, from_ms FROM horizons ORDER BY input;
DROP TABLE horizons;
DROP TABLE bases;
DROP TABLE turns;
