-- Where the latest pull read from, the quality as it left it, and until when it asked. Parameter: $experiment.
SELECT source, quality, end_ms FROM pulls WHERE experiment = $experiment ORDER BY pull DESC LIMIT 1
