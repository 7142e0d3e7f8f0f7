-- An experiment's newest sample. Parameter: $experiment.
SELECT max(ts) FROM samples WHERE series IN (SELECT series FROM series WHERE experiment = $experiment)
