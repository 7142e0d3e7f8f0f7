-- Samples of all experiments.
SELECT count(*) AS samples FROM samples
