-- The last moment that an increment in `fresh` has.
SELECT max(ts) AS last_ms FROM fresh
