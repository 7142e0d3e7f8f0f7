-- The schema's version, and the abkit that wrote it.
SELECT version, abkit FROM schema_version ORDER BY version DESC LIMIT 1
