-- What was read of each input. Parameter: $experiment.
SELECT input, read_from_ms, start_ms, end_ms FROM watermarks WHERE experiment = $experiment ORDER BY input
