-- Variants with any event; a gauge's values are none. Parameter: $experiment.
SELECT DISTINCT variant FROM facts
WHERE experiment = $experiment
  AND input NOT IN (SELECT input FROM inputs WHERE experiment = $experiment AND role IN ('value', 'samples'))
ORDER BY variant
