-- Where the latest pull read from, and the quality as it left it. Parameter: $experiment.
SELECT source, quality FROM pulls WHERE experiment = $experiment ORDER BY pull DESC LIMIT 1
