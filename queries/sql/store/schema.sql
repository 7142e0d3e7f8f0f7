-- Whether the file is a store, and how many tables it has.
SELECT
  count(*) FILTER (WHERE table_name = 'schema_version') AS marks,
  count(*) AS tables
FROM information_schema.tables WHERE table_schema = 'main'
