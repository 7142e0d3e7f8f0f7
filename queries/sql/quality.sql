-- What a pull's increments rest on, over all that the store holds of an experiment. Parameter: $experiment.
-- Reads `spacings` (store/spacings.sql).
WITH
own AS (
  SELECT
    series,
    input,
    variant,
    coalesce(nullif(target, ''), CAST(series AS VARCHAR)) AS target,
    input IN (SELECT input FROM inputs WHERE experiment = $experiment AND role = 'value') AS gauge
  FROM series WHERE experiment = $experiment
),
flagged AS (
  SELECT o.series, o.target, i.previous_ts, i.ts, i.flags
  FROM increments AS i JOIN own AS o ON o.series = i.series
  WHERE i.flags <> 0
)
SELECT
  (SELECT CAST(median(spacing_ms) AS BIGINT) FROM spacings) AS scrape_interval_ms,
  (SELECT count(DISTINCT target) FROM own) AS targets,
  (SELECT count(*) FROM (SELECT DISTINCT target, ts FROM flagged WHERE flags & 4 <> 0) AS g) AS gaps,
  (SELECT count(*) FROM (SELECT DISTINCT target, ts FROM flagged WHERE flags & 1 <> 0) AS r) AS resets,
  (SELECT count(*) FROM flagged WHERE flags & 2 <> 0) AS births,
  -- Where all data begins, first values are plain baselines.
  (
    SELECT count(*) FROM flagged AS f
    WHERE f.flags & 8 <> 0
      AND f.ts > (SELECT min(ts) FROM spacings) + coalesce((SELECT 2 * median(spacing_ms) FROM spacings), 0)
  ) AS unseen_births,
  (SELECT count(*) FROM flagged WHERE flags & 16 <> 0) AS relabelled,
  (
    SELECT count(*) FROM samples AS m JOIN own AS o ON o.series = m.series
    WHERE o.input <> 'process-start' AND NOT (m.value >= 0 AND m.value < 1e18)
      AND NOT (o.gauge AND m.value > -1e18 AND m.value < 1e18)
  ) AS non_finite,
  (
    SELECT count(*) FROM (
      SELECT target FROM own
      EXCEPT
      SELECT target FROM own WHERE input = 'process-start'
    ) AS w
  ) AS targets_without_start
