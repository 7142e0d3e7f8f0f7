-- From when to when increments count, over all inputs of an experiment.
-- Parameter: $experiment.
SELECT min(start_ms) AS start_ms, max(end_ms) AS end_ms FROM watermarks WHERE experiment = $experiment
