-- Facts of the cells that start in a range, computed by facts.sql into `fresh_facts`.
-- Those of dropped samples stay; of gauges the number of values too (`<id>#`). Parameters: $experiment, $from_ms, $to_ms.
DELETE FROM facts
WHERE experiment = $experiment AND start_ms >= $from_ms AND start_ms < $to_ms
  AND NOT EXISTS (
    SELECT 1 FROM kept AS k
    WHERE k.experiment = facts.experiment AND k.input = rtrim(facts.input, '#') AND facts.start_ms < k.from_ms
  );
INSERT INTO facts
SELECT experiment, input, variant, assignment, replicate, instance, le, start_ms, end_ms, total FROM fresh_facts
ORDER BY start_ms, input;
