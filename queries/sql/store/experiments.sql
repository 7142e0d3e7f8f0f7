-- Every experiment that was pulled or judged.
SELECT DISTINCT experiment FROM (
  SELECT experiment FROM inputs
  UNION ALL
  SELECT experiment FROM verdicts
) AS e
ORDER BY experiment
