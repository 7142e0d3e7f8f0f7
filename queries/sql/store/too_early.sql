-- Until when samples were dropped, of inputs that `pulled` reads from before then; NULL for none. Parameter: $experiment.
SELECT max(k.from_ms) AS from_ms
FROM pulled AS p JOIN kept AS k ON k.experiment = $experiment AND k.input = p.input
WHERE p.from_ms < k.from_ms AND p.input <> 'process-start'
