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
-- * Relabelled: where a series begins at the scrape at which another one of its target ended, and only labels that say
--   nothing about what is counted differ (the ones most alike, one to one), it goes on from the other's last value. (A process
--   that is older cannot have lost its counters and have new ones.)
-- * Where no such one is found, a first value that a process older than the scrape before can't have counted since then (above
--   100 and above 50 times the largest step of the target's counters of the input within five minutes of it, where five or
--   more moved) has a past that is not known.
--   Five minutes: the next pull reads that much again, so it does not matter how the window was cut into pulls.
-- * Gauges have no increments: store/insert_gauges.sql.
-- * NaN, infinite, negative and absurd values are no counter's: dropped.
WITH
own AS (
  SELECT s.series, s.input, s.target, p.from_ms, p.to_ms
  FROM series AS s JOIN pulled AS p ON p.input = s.input
  WHERE s.experiment = $experiment AND s.input <> 'process-start'
    AND s.input NOT IN (SELECT input FROM inputs WHERE experiment = $experiment AND role = 'value')
),
usable AS NOT MATERIALIZED (
  SELECT series, ts, value FROM samples WHERE value >= 0 AND value < 1e18
),
-- Every moment at which a target was scraped, with its process' start where it tells: in the range, and in the quarter of
-- an hour before.
-- (The store has its samples by time: those of a quarter are quickly found, and mostly are all that is needed.)
recent AS (
  SELECT s.target, m.ts, max(CASE WHEN s.input = 'process-start' THEN m.value END) AS started
  FROM samples AS m JOIN series AS s ON s.series = m.series
  WHERE s.experiment = $experiment AND s.target <> '' AND m.ts >= $from_ms - 900000
  GROUP BY s.target, m.ts
),
going AS (
  SELECT target, min(ts) < $from_ms AS seen, min(CASE WHEN started IS NOT NULL THEN ts END) < $from_ms AS told
  FROM recent
  GROUP BY target
  HAVING max(ts) >= $from_ms
),
-- Series of targets that are scraped in the range, with samples from before that quarter.
older AS (
  SELECT s.series, s.input, s.target, g.seen, coalesce(g.told, FALSE) AS told, p.last_ms
  FROM series AS s
  JOIN spans AS p ON p.series = s.series
  LEFT JOIN going AS g ON g.target = s.target
  WHERE s.experiment = $experiment AND p.first_ms < $from_ms - 900000 AND (p.last_ms >= $from_ms OR g.target IS NOT NULL)
),
moments AS (
  SELECT target, ts, started FROM recent
  UNION ALL
  SELECT o.target, max(m.ts), NULL
  FROM samples AS m JOIN older AS o ON o.series = m.series AND NOT o.seen
  WHERE m.ts < $from_ms - 900000
  GROUP BY o.target
  UNION ALL
  SELECT o.target, max(m.ts), max_by(m.value, m.ts)
  FROM samples AS m JOIN older AS o ON o.series = m.series AND o.input = 'process-start' AND NOT o.told AND o.target <> ''
  WHERE m.ts < $from_ms - 900000
  GROUP BY o.target
),
near AS (
  SELECT u.series, max(u.ts) AS ts, max_by(u.value, u.ts) AS value
  FROM usable AS u JOIN own AS o ON o.series = u.series
  WHERE u.ts >= $from_ms - 900000 AND u.ts < o.from_ms
  GROUP BY u.series
),
silent AS (
  SELECT o.series
  FROM own AS o JOIN older AS e ON e.series = o.series ANTI JOIN near AS n ON n.series = o.series
  WHERE e.last_ms >= $from_ms OR NOT e.seen
),
earlier AS (
  SELECT series, ts, value FROM near
  UNION ALL
  -- Those that were silent for the quarter: where they go on, or their target does, after as long a silence.
  SELECT u.series, max(u.ts) AS ts, max_by(u.value, u.ts) AS value
  FROM usable AS u
  WHERE u.ts < $from_ms - 900000 AND u.series IN (SELECT series FROM silent)
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
    lag(value) OVER (PARTITION BY series ORDER BY ts) AS previous,
    lead(ts) OVER (PARTITION BY series ORDER BY ts) AS next_ts
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
    o.input,
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
-- Series that are new at a target that was scraped before, and those that had ended there and then.
newborn AS (
  SELECT
    j.series,
    j.input,
    j.target,
    j.ts,
    j.value,
    s.seen,
    s.started,
    s.ts + 300000 AS until_ms
  FROM judged AS j JOIN scrapes AS s ON s.target = j.target AND s.ts = j.ts
  WHERE j.born AND s.seen IS NOT NULL
),
ended AS (
  SELECT o.series, o.input, o.target, p.ts, p.value, p.next_ts
  FROM pairs AS p JOIN own AS o ON o.series = p.series
  WHERE o.target <> '' AND (p.next_ts IS NULL OR p.next_ts > p.ts + 300000)
),
alike AS (
  SELECT
    n.series,
    e.series AS old,
    n.ts,
    e.value AS before,
    CAST(CAST(x.labels AS JSON) AS MAP(VARCHAR, VARCHAR)) AS labels,
    CAST(CAST(e.labels AS JSON) AS MAP(VARCHAR, VARCHAR)) AS old_labels
  FROM newborn AS n
  JOIN series AS x ON x.series = n.series
  JOIN (
    SELECT d.series, d.input, d.target, d.ts, d.value, d.next_ts, s.variant, s.version, s.assignment, s.replicate, s.le, s.labels
    FROM ended AS d JOIN series AS s ON s.series = d.series
  ) AS e
    ON e.target = n.target AND e.input = n.input AND e.ts = n.seen
    AND e.variant = x.variant AND e.replicate = x.replicate AND e.assignment = x.assignment
    AND e.le IS NOT DISTINCT FROM x.le
  WHERE e.value <= n.value AND (e.next_ts IS NULL OR e.next_ts > n.until_ms)
    AND (x.version = e.version OR x.version = '' OR e.version = '')
    AND NOT EXISTS (SELECT 1 FROM restarts AS r WHERE r.target = n.target AND r.ts > n.seen AND r.ts <= n.ts)
),
compared AS (
  SELECT
    series,
    old,
    ts,
    before,
    -- Names whose values differ, or that only one has.
    len(list_distinct(list_concat(map_keys(labels), map_keys(old_labels))))
    - len(list_intersect(map_entries(labels), map_entries(old_labels))) AS distance
  FROM alike
  WHERE labels['__name__'] = old_labels['__name__']
    AND labels['response_code'] IS NOT DISTINCT FROM old_labels['response_code']
    AND (labels['pod'] = old_labels['pod'] OR labels['pod'] IS NULL OR old_labels['pod'] IS NULL)
),
nearest AS (
  SELECT
    series,
    old,
    ts,
    before,
    distance,
    min(distance) OVER (PARTITION BY series) AS least,
    min(distance) OVER (PARTITION BY old, ts) AS least_back
  FROM compared
),
continued AS (
  SELECT series, ts, before
  FROM (
    SELECT
      series,
      ts,
      before,
      count(*) OVER (PARTITION BY series) AS candidates,
      count(*) OVER (PARTITION BY old, ts) AS claims
    FROM nearest
    WHERE distance = least AND distance = least_back
  ) AS n
  WHERE candidates = 1 AND claims = 1
),
suspects AS (
  SELECT n.series, n.input, n.target, n.ts, n.value, n.until_ms
  FROM newborn AS n ANTI JOIN continued AS c ON c.series = n.series
  WHERE n.value > 100 AND n.started * 1000 < n.seen - (n.ts - n.seen)
),
steps AS (
  SELECT q.target, q.input, q.ts, u.value - lag(u.value) OVER (PARTITION BY u.series, q.ts ORDER BY u.ts) AS step
  FROM (SELECT DISTINCT target, input, ts, until_ms FROM suspects) AS q
  JOIN own AS o ON o.target = q.target AND o.input = q.input
  JOIN usable AS u ON u.series = o.series AND u.ts >= q.ts - 300000 AND u.ts <= q.until_ms
  WHERE u.ts >= $from_ms - 300000
),
ordinary AS (
  SELECT target, input, ts, max(step) AS largest
  FROM steps WHERE step > 0
  GROUP BY target, input, ts
  HAVING count(*) >= 5
),
unlikely AS (
  SELECT q.series
  FROM suspects AS q JOIN ordinary AS y ON y.target = q.target AND y.input = q.input AND y.ts = q.ts
  WHERE q.value > 50 * y.largest
),
placed AS (
  SELECT
    j.series,
    j.ts,
    j.value,
    coalesce(j.previous, c.before) AS previous,
    j.born,
    j.reset,
    c.series IS NOT NULL AS relabelled,
    NOT j.born OR c.series IS NOT NULL
    OR (
      u.series IS NULL
      AND (coalesce(s.seen >= j.read_from_ms, FALSE) OR coalesce(s.started * 1000 >= j.read_from_ms, FALSE))
    ) AS known,
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
  LEFT JOIN continued AS c ON c.series = j.series AND j.born
  LEFT JOIN unlikely AS u ON u.series = j.series AND j.born
)
SELECT
  series,
  CASE WHEN known THEN previous_ts END AS previous_ts,
  ts,
  CASE WHEN NOT known THEN 0 WHEN (born AND NOT relabelled) OR reset THEN value ELSE value - previous END AS increment,
  CASE WHEN reset THEN 1 ELSE 0 END
  + CASE WHEN born AND known AND NOT relabelled THEN 2 ELSE 0 END
  + CASE WHEN NOT known THEN 8 ELSE 0 END
  + CASE WHEN relabelled THEN 16 ELSE 0 END AS flags
FROM placed
WHERE born OR reset OR value <> previous
