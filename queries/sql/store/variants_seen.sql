-- Variants with any event. Parameter: $experiment.
SELECT DISTINCT variant FROM facts WHERE experiment = $experiment ORDER BY variant
