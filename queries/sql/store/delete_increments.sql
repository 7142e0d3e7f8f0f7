-- What is about to be computed anew: the increments that `fresh` has, or that lie in the ranges of `pulled`, or that belong to the
-- first sample after them. Parameters: $experiment; $from_ms, the earliest from_ms in `pulled`.
DELETE FROM increments
USING (
  SELECT s.series, p.from_ms, p.to_ms, min(m.ts) AS next_ms
  FROM pulled AS p
  JOIN series AS s ON s.experiment = $experiment AND s.input = p.input
  LEFT JOIN samples AS m ON m.series = s.series AND m.ts >= $from_ms AND m.ts >= p.to_ms
  GROUP BY s.series, p.from_ms, p.to_ms
) AS r
WHERE increments.series = r.series AND increments.ts >= r.from_ms
  AND (increments.ts < r.to_ms OR increments.ts = r.next_ms)
