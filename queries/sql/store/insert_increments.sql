-- Computed by increments.sql into `fresh`.
INSERT INTO increments SELECT series, previous_ts, ts, increment, flags FROM fresh ORDER BY series, ts
