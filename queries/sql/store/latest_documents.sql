-- The newest verdict of each experiment, as printed.
SELECT document FROM verdicts
WHERE id IN (SELECT max(id) FROM verdicts GROUP BY experiment)
ORDER BY experiment
