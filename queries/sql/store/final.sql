-- Facts of dropped samples that would have to be computed anew: series that are counted otherwise now, and inputs whose
-- facts keep instances now, or no longer do. Parameter: $experiment.
SELECT
  (
    SELECT count(*)
    FROM series AS s
    JOIN new_series AS n ON n.series = s.series
    JOIN spans AS p ON p.series = s.series
    JOIN kept AS k ON k.experiment = s.experiment AND k.input = s.input
    WHERE s.experiment = $experiment AND s.input <> 'process-start' AND p.first_ms < k.from_ms
      AND (s.variant, s.assignment, s.replicate, s.instance, s.le)
      IS DISTINCT FROM (n.variant, n.assignment, n.replicate, n.instance, n.le)
  ) AS series,
  (
    SELECT count(*)
    FROM (SELECT input, bool_or(by_instance) AS kind FROM inputs WHERE experiment = $experiment GROUP BY input) AS i
    JOIN (SELECT input, bool_or(by_instance) AS kind FROM new_inputs GROUP BY input) AS n ON n.input = i.input
    JOIN kept AS k ON k.experiment = $experiment AND k.input = i.input
    WHERE i.kind <> n.kind
  ) AS inputs,
  (SELECT max(from_ms) FROM kept WHERE experiment = $experiment) AS from_ms
