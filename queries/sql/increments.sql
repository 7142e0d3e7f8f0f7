-- Exact increments of an experiment's counters, for the ranges in `pulled` and for the first sample of each series after
-- its range. Parameters: $experiment; $from_ms, the earliest from_ms in `pulled`.
--
--   pulled (input, from_ms, to_ms): what was read anew, half-open.
--
-- * An increment belongs to the later of two consecutive samples; the sample before a range is its baseline.
-- * Reset: the value fell, or the target's process started anew in between (process_start_time_seconds moved by more than
--   1 s), even where the value did not fall. The counter began at 0.
-- * Birth: a series' first sample counts from 0 where its target was scraped before, without it, or where the process
--   started after we began to read. Else its past is not known: left out, and flagged.
-- * NaN, infinite, negative and absurd values are no counter's: dropped.
WITH
own AS (
  SELECT s.series, s.input, s.target, p.from_ms, p.to_ms
  FROM series AS s JOIN pulled AS p ON p.input = s.input
  WHERE s.experiment = $experiment AND s.input <> 'process-start'
),
usable AS (
  SELECT series, ts, value FROM samples WHERE value >= 0 AND value < 1e18
),
earlier AS (
  SELECT u.series, max(u.ts) AS ts, max_by(u.value, u.ts) AS value
  FROM usable AS u JOIN own AS o ON o.series = u.series
  WHERE u.ts < o.from_ms
  GROUP BY u.series
),
later AS (
  SELECT u.series, min(u.ts) AS ts, min_by(u.value, u.ts) AS value
  FROM usable AS u JOIN own AS o ON o.series = u.series
  WHERE u.ts >= $from_ms AND u.ts >= o.to_ms
  GROUP BY u.series
),
pool AS (
  SELECT series, ts, value FROM earlier
  UNION ALL
  SELECT u.series, u.ts, u.value
  FROM usable AS u JOIN own AS o ON o.series = u.series
  WHERE u.ts >= $from_ms AND u.ts >= o.from_ms AND u.ts < o.to_ms
  UNION ALL
  SELECT series, ts, value FROM later
),
-- Every moment at which a target was scraped, with its process' start where it tells: in the range, and the last before.
moments AS (
  SELECT s.target, m.ts, max(CASE WHEN s.input = 'process-start' THEN m.value END) AS started
  FROM samples AS m JOIN series AS s ON s.series = m.series
  WHERE s.experiment = $experiment AND s.target <> '' AND m.ts >= $from_ms
  GROUP BY s.target, m.ts
  UNION ALL
  SELECT s.target, max(m.ts), NULL
  FROM samples AS m JOIN series AS s ON s.series = m.series
  WHERE s.experiment = $experiment AND s.target <> '' AND m.ts < $from_ms
  GROUP BY s.target
  UNION ALL
  SELECT s.target, max(m.ts), max_by(m.value, m.ts)
  FROM samples AS m JOIN series AS s ON s.series = m.series
  WHERE s.experiment = $experiment AND s.target <> '' AND s.input = 'process-start' AND m.ts < $from_ms
  GROUP BY s.target
),
scrapes AS (
  SELECT
    target,
    ts,
    lag(ts) OVER (PARTITION BY target ORDER BY ts) AS seen,
    last_value(started IGNORE NULLS) OVER (PARTITION BY target ORDER BY ts ROWS UNBOUNDED PRECEDING) AS started
  FROM (SELECT target, ts, max(started) AS started FROM moments GROUP BY target, ts) AS m
),
-- Over all that is kept: a series may have been silent since long before the range, and its process started anew meanwhile.
restarts AS (
  SELECT target, ts
  FROM (
    SELECT target, ts, started, lag(started) OVER (PARTITION BY target ORDER BY ts) AS before
    FROM (
      SELECT s.target, m.ts, max(m.value) AS started
      FROM samples AS m JOIN series AS s ON s.series = m.series
      WHERE s.experiment = $experiment AND s.target <> '' AND s.input = 'process-start'
      GROUP BY s.target, m.ts
    ) AS p
  ) AS s
  WHERE abs(started - before) > 1
),
pairs AS (
  SELECT
    series,
    ts,
    value,
    lag(ts) OVER (PARTITION BY series ORDER BY ts) AS previous_ts,
    lag(value) OVER (PARTITION BY series ORDER BY ts) AS previous
  FROM pool
),
restarted AS (
  SELECT DISTINCT p.series, p.ts
  FROM restarts AS r
  JOIN own AS o ON o.target = r.target
  JOIN pairs AS p ON p.series = o.series AND p.previous_ts < r.ts AND p.ts >= r.ts
),
judged AS (
  SELECT
    p.series,
    o.target,
    p.ts,
    p.value,
    p.previous,
    p.previous_ts,
    w.read_from_ms,
    p.previous IS NULL AS born,
    p.previous IS NOT NULL AND (p.value < p.previous OR n.series IS NOT NULL) AS reset
  FROM pairs AS p
  JOIN own AS o ON o.series = p.series
  JOIN watermarks AS w ON w.experiment = $experiment AND w.input = o.input
  LEFT JOIN restarted AS n ON n.series = p.series AND n.ts = p.ts
  WHERE p.ts >= o.from_ms AND p.ts >= w.start_ms AND p.ts < w.end_ms
),
placed AS (
  SELECT
    j.series,
    j.ts,
    j.value,
    j.previous,
    j.born,
    j.reset,
    NOT j.born OR coalesce(s.seen >= j.read_from_ms, FALSE) OR coalesce(s.started * 1000 >= j.read_from_ms, FALSE) AS known,
    -- A counter that begins at 0 did so after the scrape that didn't show it, and after its process started.
    CASE
      WHEN j.born OR j.reset THEN greatest(
        j.previous_ts,
        s.seen,
        CASE WHEN s.started * 1000 < j.ts THEN CAST(s.started * 1000 AS BIGINT) END
      )
      ELSE j.previous_ts
    END AS previous_ts
  FROM judged AS j
  LEFT JOIN scrapes AS s ON s.target = j.target AND s.ts = CASE WHEN j.born OR j.reset THEN j.ts END
)
SELECT
  series,
  CASE WHEN known THEN previous_ts END AS previous_ts,
  ts,
  CASE WHEN NOT known THEN 0 WHEN born OR reset THEN value ELSE value - previous END AS increment,
  CASE WHEN reset THEN 1 ELSE 0 END
  + CASE WHEN born AND known THEN 2 ELSE 0 END
  + CASE WHEN NOT known THEN 8 ELSE 0 END AS flags
FROM placed
WHERE born OR reset OR value <> previous
