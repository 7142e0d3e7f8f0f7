-- Versions that series without a variant of their own were counted by, as the latest pull's file said. Parameter: $experiment.
SELECT DISTINCT variant, version FROM series
WHERE experiment = $experiment AND variant <> '' AND version <> '' AND NOT contains(labels, '"ab_variant"')
ORDER BY variant, version
