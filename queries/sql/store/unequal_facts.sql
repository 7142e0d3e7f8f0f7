-- Facts that are not the sums of the increments they come from, computed by facts.sql into `fresh_facts`; those of
-- dropped samples have nothing to be held against. Parameter: $experiment.
WITH
stored AS (
  SELECT experiment, input, variant, assignment, replicate, instance, le, start_ms, end_ms, total
  FROM facts AS f
  WHERE experiment = $experiment
    AND NOT EXISTS (
      SELECT 1 FROM kept AS k WHERE k.experiment = f.experiment AND k.input = rtrim(f.input, '#') AND f.start_ms < k.from_ms
    )
)
SELECT count(*) AS found
FROM (
  (FROM stored EXCEPT ALL FROM fresh_facts)
  UNION ALL
  (FROM fresh_facts EXCEPT ALL FROM stored)
) AS d
