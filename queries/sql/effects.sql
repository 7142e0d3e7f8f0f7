-- How much each finding about the data weighs: the largest share of any input's events that it touches; NULL where there are no
-- events; gauges have none. Parameters: $experiment; $interval_ms, the scrape interval.
--
-- * gaps, births, relabelled, unmatched_series, bad_replicates: events that were counted so.
-- * resets: what was probably lost, half a scrape of a series' own mean rate a restart (that was nowhere counted).
-- * unseen_births: what may have been left out, a scrape of a series' own mean rate.
WITH
own AS (
  SELECT
    series,
    input,
    variant = '' AND coalesce(json_extract_string(labels, '$.ab_variant'), '') <> 'none' AS unmatched,
    replicate < 0 AND coalesce(json_extract_string(labels, '$.ab_replicate'), 'none') <> 'none' AS bad_replicate
  FROM series
  WHERE experiment = $experiment AND input IN (SELECT input FROM inputs WHERE experiment = $experiment AND role <> 'value')
),
sums AS (
  SELECT
    series,
    sum(increment) AS total,
    sum(CASE WHEN flags & 4 <> 0 THEN increment ELSE 0 END) AS gaps,
    sum(CASE WHEN flags & 2 <> 0 THEN increment ELSE 0 END) AS births,
    sum(CASE WHEN flags & 16 <> 0 THEN increment ELSE 0 END) AS relabelled,
    sum(CASE WHEN flags & 1 <> 0 THEN 1 ELSE 0 END) AS resets,
    sum(CASE WHEN flags & 8 <> 0 THEN 1 ELSE 0 END) AS unseen_births,
    -- What one scrape counts on average.
    sum(increment) * $interval_ms / nullif(max(ts) - min(coalesce(previous_ts, ts)), 0) AS scrape
  FROM increments
  WHERE series IN (SELECT series FROM own)
  GROUP BY series
),
shares AS (
  SELECT
    sum(s.gaps) / sum(s.total) AS gaps,
    sum(s.births) / sum(s.total) AS births,
    sum(s.relabelled) / sum(s.total) AS relabelled,
    sum(s.resets * s.scrape) / 2 / sum(s.total) AS resets,
    sum(s.unseen_births * s.scrape) / sum(s.total) AS unseen_births,
    sum(CASE WHEN o.unmatched THEN s.total ELSE 0 END) / sum(s.total) AS unmatched_series,
    sum(CASE WHEN o.bad_replicate THEN s.total ELSE 0 END) / sum(s.total) AS bad_replicates
  FROM own AS o JOIN sums AS s ON s.series = o.series
  GROUP BY o.input
  HAVING sum(s.total) > 0
)
SELECT
  max(gaps) AS gaps,
  max(births) AS births,
  max(relabelled) AS relabelled,
  max(resets) AS resets,
  max(unseen_births) AS unseen_births,
  max(unmatched_series) AS unmatched_series,
  max(bad_replicates) AS bad_replicates
FROM shares
