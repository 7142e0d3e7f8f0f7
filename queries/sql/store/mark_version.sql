-- A migration was run. Parameters: $version, $abkit.
CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL, abkit VARCHAR NOT NULL);
INSERT INTO schema_version VALUES ($version, $abkit);
