-- Sums over cells of time, of the increments in [$from_ms, $to_ms). Parameters: $experiment, $from_ms, $to_ms; $cutoff_ms: cells
-- are minutes from there on, hours before it. A cell ends where the split changed, where the analysis starts or ends, and
-- at the edges of what was read. Of gauges: the sum of their values, and their number as the input `<id>#`.
WITH
read_window AS (
  SELECT min(start_ms) AS start_ms, max(end_ms) AS end_ms FROM watermarks WHERE experiment = $experiment
),
edges AS (
  SELECT c.at_ms FROM cuts AS c, read_window AS r
  WHERE c.experiment = $experiment AND c.at_ms > r.start_ms AND c.at_ms < r.end_ms
  UNION
  SELECT start_ms FROM read_window
  UNION
  SELECT end_ms FROM read_window
),
spans AS (
  SELECT at_ms AS from_ms, lead(at_ms) OVER (ORDER BY at_ms) AS to_ms FROM edges
),
steps AS (
  SELECT
    i.series,
    i.ts,
    i.ts - i.ts % 60000 AS minute_ms,
    -- Whole and broken part apart: both are exact then, up to 1e18 and down to 1e-12.
    CAST(CAST(trunc(i.increment) AS DECIMAL(19, 0)) AS DECIMAL(38, 12))
    + CAST(i.increment - trunc(i.increment) AS DECIMAL(38, 12)) AS increment,
    CASE WHEN i.flags & 32 <> 0 THEN 1 ELSE 0 END AS sampled
  FROM increments AS i
  WHERE i.ts >= $from_ms AND i.ts < $to_ms AND (i.increment <> 0 OR i.flags & 32 <> 0)
),
minutes AS (
  SELECT
    minute_ms,
    CASE WHEN minute_ms < $cutoff_ms THEN minute_ms - minute_ms % 3600000 ELSE minute_ms END AS begin_ms,
    CASE WHEN minute_ms < $cutoff_ms THEN 3600000 ELSE 60000 END AS length_ms
  FROM (SELECT DISTINCT minute_ms FROM steps) AS m
),
cells AS (
  SELECT
    m.minute_ms,
    s.from_ms,
    s.to_ms,
    greatest(m.begin_ms, s.from_ms) AS start_ms,
    least(m.begin_ms + m.length_ms, s.to_ms) AS end_ms
  FROM minutes AS m JOIN spans AS s ON s.from_ms < m.minute_ms + 60000 AND s.to_ms > m.minute_ms
),
kept AS (
  SELECT
    s.series,
    s.input,
    s.variant,
    s.assignment,
    s.replicate,
    CASE WHEN s.replicate < 0 OR b.by_instance THEN s.instance ELSE '' END AS instance,
    s.le
  FROM series AS s
  JOIN (SELECT input, bool_or(by_instance) AS by_instance FROM inputs WHERE experiment = $experiment GROUP BY input) AS b
    ON b.input = s.input
  WHERE s.experiment = $experiment AND s.variant <> ''
),
sums AS (
  SELECT
    k.input,
    k.variant,
    k.assignment,
    k.replicate,
    k.instance,
    k.le,
    c.start_ms,
    c.end_ms,
    sum(t.increment) AS total,
    sum(t.sampled) AS samples
  FROM steps AS t
  JOIN kept AS k ON k.series = t.series
  JOIN cells AS c ON c.minute_ms = t.minute_ms AND t.ts >= c.from_ms AND t.ts < c.to_ms
  GROUP BY k.input, k.variant, k.assignment, k.replicate, k.instance, k.le, c.start_ms, c.end_ms
)
SELECT $experiment AS experiment, input, variant, assignment, replicate, instance, le, start_ms, end_ms, total
FROM sums WHERE total <> 0
UNION ALL
SELECT
  $experiment AS experiment,
  input || '#' AS input,
  variant,
  assignment,
  replicate,
  instance,
  le,
  start_ms,
  end_ms,
  CAST(samples AS DECIMAL(38, 12)) AS total
FROM sums WHERE samples > 0
