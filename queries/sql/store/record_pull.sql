-- A pull's row; the same pull again replaces it. Parameters: as the columns.
DELETE FROM pulls
WHERE experiment = $experiment AND start_ms = $start_ms AND end_ms = $end_ms AND source = $source;
INSERT INTO pulls
SELECT coalesce(max(pull), 0) + 1, $experiment, $start_ms, $end_ms, $source, $way, $samples, $series, $quality FROM pulls;
