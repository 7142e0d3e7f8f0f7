-- Newest verdicts of an experiment. Parameters: $experiment, $limit.
SELECT experiment, as_of_ms, window_start_ms, window_end_ms, fingerprint, spec_hash, abkit_version, verdict, document
FROM verdicts WHERE experiment = $experiment ORDER BY id DESC LIMIT $limit
