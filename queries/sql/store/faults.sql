-- What can't be in a sound store: what is wrong, and how many rows are.
SELECT what, found
FROM (
  SELECT 'samples that lie twice at one moment of a series' AS what, (
    SELECT count(*) - count(DISTINCT (series, ts)) FROM samples
  ) AS found
  UNION ALL
  SELECT 'increments that lie twice at one moment of a series', (
    SELECT count(*) - count(DISTINCT (series, ts)) FROM increments
  )
  UNION ALL
  SELECT 'samples of a series that is not known', (
    SELECT count(*) FROM samples ANTI JOIN series USING (series)
  )
  UNION ALL
  SELECT 'increments of a series that is not known', (
    SELECT count(*) FROM increments ANTI JOIN series USING (series)
  )
  UNION ALL
  SELECT 'watermarks that end before they start', (
    SELECT count(*) FROM watermarks WHERE start_ms > end_ms OR read_from_ms > start_ms
  )
  UNION ALL
  SELECT 'inputs with more than one watermark', (
    SELECT count(*) - count(DISTINCT (experiment, input)) FROM watermarks
  )
  UNION ALL
  SELECT 'samples from beyond the watermark of their input', (
    SELECT count(*)
    FROM samples AS m
    JOIN series AS s ON s.series = m.series
    LEFT JOIN watermarks AS w ON w.experiment = s.experiment AND w.input = s.input
    WHERE w.end_ms IS NULL OR m.ts >= w.end_ms
  )
  UNION ALL
  SELECT 'series whose samples lie outside of their span', (
    SELECT count(*)
    FROM (SELECT series, min(ts) AS first_ms, max(ts) AS last_ms FROM samples GROUP BY series) AS m
    LEFT JOIN spans AS p ON p.series = m.series
    WHERE p.series IS NULL OR p.first_ms > m.first_ms OR p.last_ms < m.last_ms
  )
  UNION ALL
  SELECT 'increments that end before they begin', (
    SELECT count(*) FROM increments WHERE previous_ts > ts
  )
  UNION ALL
  SELECT 'facts whose end is not after their start', (
    SELECT count(*) FROM facts WHERE start_ms >= end_ms
  )
) AS f
WHERE found <> 0
ORDER BY what
