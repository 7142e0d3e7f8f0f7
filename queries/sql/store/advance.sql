-- What was read until now together with what `pulled` adds: one span an input. Parameter: $experiment.
CREATE TEMP TABLE advanced AS
SELECT input, min(read_from_ms) AS read_from_ms, min(start_ms) AS start_ms, max(end_ms) AS end_ms
FROM (
  SELECT input, read_from_ms, start_ms, end_ms FROM watermarks WHERE experiment = $experiment
  UNION ALL
  SELECT input, read_from_ms, start_ms, end_ms FROM pulled
) AS w
GROUP BY input;
DELETE FROM watermarks WHERE experiment = $experiment;
INSERT INTO watermarks SELECT $experiment, input, read_from_ms, start_ms, end_ms FROM advanced;
DROP TABLE advanced;
