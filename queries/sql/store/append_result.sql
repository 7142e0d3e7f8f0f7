-- One row of a verdict's numbers. Parameters: as the columns.
INSERT INTO results VALUES ($verdict_id, $metric, $variant, $document)
