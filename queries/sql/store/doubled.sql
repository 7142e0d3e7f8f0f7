-- Targets that show one process' counters twice, of the pairs in `new_twins`: their processes started at the same moment, or that
-- is not known and they belong to different jobs. Parameter: $experiment.
WITH
started AS (
  SELECT DISTINCT s.target, m.value AS started
  FROM samples AS m JOIN series AS s ON s.series = m.series
  WHERE s.experiment = $experiment AND s.input = 'process-start'
    AND s.target IN (SELECT one FROM new_twins UNION SELECT other FROM new_twins)
),
judged AS (
  SELECT
    t.one,
    t.other,
    CASE
      WHEN t.one IN (SELECT target FROM started) AND t.other IN (SELECT target FROM started) THEN t.one IN (
        SELECT a.target FROM started AS a JOIN started AS b ON abs(a.started - b.started) < 1 AND b.target = t.other
      )
      ELSE t.other_job
    END AS doubled
  FROM new_twins AS t
)
SELECT count(*) AS targets
FROM (SELECT one FROM judged WHERE doubled UNION SELECT other FROM judged WHERE doubled) AS d
