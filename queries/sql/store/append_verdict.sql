-- One verdict; none where the experiment's last one has the same fingerprint. Parameters: as the columns.
INSERT INTO verdicts
SELECT
  (SELECT coalesce(max(id), 0) + 1 FROM verdicts),
  $experiment, $as_of_ms, $window_start_ms, $window_end_ms, $fingerprint, $spec_hash, $abkit_version, $verdict, $document
WHERE coalesce(
  (SELECT fingerprint FROM verdicts WHERE experiment = $experiment ORDER BY id DESC LIMIT 1) <> $fingerprint,
  TRUE
)
RETURNING id
