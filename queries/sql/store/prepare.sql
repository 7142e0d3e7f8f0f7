-- Replaces what an experiment file decides, and adds the series that were read. Parameter: $experiment.
DELETE FROM inputs WHERE experiment = $experiment;
INSERT INTO inputs SELECT $experiment, metric, role, input, selector, by_instance FROM new_inputs;
DELETE FROM weights WHERE experiment = $experiment;
INSERT INTO weights SELECT $experiment, from_ms, to_ms, variant, weight, known FROM new_weights;
DELETE FROM cuts WHERE experiment = $experiment;
INSERT INTO cuts SELECT $experiment, at_ms FROM new_cuts;
DELETE FROM series WHERE series IN (SELECT series FROM new_series);
INSERT INTO series
SELECT series, $experiment, input, labels, variant, version, assignment, replicate, instance, target, le FROM new_series;
