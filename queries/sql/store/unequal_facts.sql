-- Facts that are not the sums of the increments they come from, computed by facts.sql into `fresh_facts`. Parameter: $experiment.
WITH
stored AS (
  SELECT experiment, input, variant, assignment, replicate, instance, le, start_ms, end_ms, total
  FROM facts WHERE experiment = $experiment
)
SELECT count(*) AS found
FROM (
  (FROM stored EXCEPT ALL FROM fresh_facts)
  UNION ALL
  (FROM fresh_facts EXCEPT ALL FROM stored)
) AS d
