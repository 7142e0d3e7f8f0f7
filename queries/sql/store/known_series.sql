-- Every series of an experiment. Parameter: $experiment.
SELECT series, input, labels FROM series WHERE experiment = $experiment ORDER BY series
