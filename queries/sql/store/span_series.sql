-- First and last samples, with those of `new_samples`. No parameters.
CREATE TEMP TABLE spanned AS
SELECT series, min(first_ms) AS first_ms, max(last_ms) AS last_ms
FROM (
  SELECT series, first_ms, last_ms FROM spans
  UNION ALL
  SELECT series, min(ts), max(ts) FROM new_samples GROUP BY series
) AS s
WHERE series IN (SELECT series FROM new_samples)
GROUP BY series;
DELETE FROM spans WHERE series IN (SELECT series FROM spanned);
INSERT INTO spans SELECT series, first_ms, last_ms FROM spanned ORDER BY series;
DROP TABLE spanned;
