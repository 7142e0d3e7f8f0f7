-- The split's history. Parameter: $experiment.
SELECT from_ms, to_ms, variant, weight, known FROM weights WHERE experiment = $experiment ORDER BY from_ms, variant
