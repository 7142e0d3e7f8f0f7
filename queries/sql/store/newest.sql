-- An experiment's newest sample from a moment on. Parameters: $experiment, $from_ms.
SELECT max(ts) FROM samples WHERE ts >= $from_ms AND series IN (SELECT series FROM series WHERE experiment = $experiment)
