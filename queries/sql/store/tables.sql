-- Tables of a file that has no schema_version.
SELECT table_name FROM duckdb_tables() WHERE NOT internal
