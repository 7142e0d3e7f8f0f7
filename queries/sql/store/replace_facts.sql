-- Facts of the cells that start in a range, computed by facts.sql into `fresh_facts`. Parameters: $experiment, $from_ms, $to_ms.
DELETE FROM facts WHERE experiment = $experiment AND start_ms >= $from_ms AND start_ms < $to_ms;
INSERT INTO facts
SELECT experiment, input, variant, assignment, replicate, instance, le, start_ms, end_ms, total FROM fresh_facts
ORDER BY start_ms, input;
