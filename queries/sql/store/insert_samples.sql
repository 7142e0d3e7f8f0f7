-- Samples of the ranges in `pulled`. Parameter: $experiment.
INSERT INTO samples SELECT series, ts, value FROM new_samples
