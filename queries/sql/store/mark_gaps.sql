-- Flags increments that span more than two scrape intervals of their target (half an interval of tolerance, for late scrapes):
-- they lie in one cell though they come from several. The interval is the median over all that is stored, so the flags do
-- not depend on how the window was cut into pulls. Parameter: $experiment. Reads `spacings` (spacings.sql).
WITH
intervals AS (
  SELECT target, median(spacing_ms) AS interval_ms FROM spacings GROUP BY target
),
limits AS (
  SELECT s.series, 2.5 * i.interval_ms AS limit_ms
  FROM series AS s JOIN intervals AS i ON i.target = s.target
  WHERE s.experiment = $experiment AND i.interval_ms IS NOT NULL
)
UPDATE increments SET flags = CASE WHEN flags & 4 = 0 THEN flags + 4 ELSE flags - 4 END
FROM limits AS l
WHERE increments.series = l.series AND (coalesce(ts - previous_ts, 0) > l.limit_ms) <> (flags & 4 <> 0)
