-- How many things that facts are cut and keyed by differ from what is stored: above 0, all facts are computed anew.
-- Parameter: $experiment.
SELECT
  (
    SELECT count(*) FROM (
      SELECT series, variant, assignment, replicate, instance, le FROM series WHERE experiment = $experiment
      EXCEPT
      SELECT series, variant, assignment, replicate, instance, le FROM new_series
    ) AS s
  ) + (
    SELECT count(*) FROM (
      SELECT input, bool_or(by_instance) FROM inputs WHERE experiment = $experiment GROUP BY input
      EXCEPT
      SELECT input, bool_or(by_instance) FROM new_inputs GROUP BY input
    ) AS i
  ) + (
    SELECT count(*) FROM (
      (SELECT at_ms FROM cuts WHERE experiment = $experiment EXCEPT SELECT at_ms FROM new_cuts)
      UNION ALL
      (SELECT at_ms FROM new_cuts EXCEPT SELECT at_ms FROM cuts WHERE experiment = $experiment)
    ) AS c
  ) AS differences
