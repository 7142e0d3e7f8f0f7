-- Reads every value of every table: rows, and a number that depends on all of them.
SELECT 'cuts' AS name, count(*) AS found, bit_xor(hash(t)) AS mark FROM cuts AS t
UNION ALL SELECT 'facts', count(*), bit_xor(hash(t)) FROM facts AS t
UNION ALL SELECT 'increments', count(*), bit_xor(hash(t)) FROM increments AS t
UNION ALL SELECT 'inputs', count(*), bit_xor(hash(t)) FROM inputs AS t
UNION ALL SELECT 'kept', count(*), bit_xor(hash(t)) FROM kept AS t
UNION ALL SELECT 'pulls', count(*), bit_xor(hash(t)) FROM pulls AS t
UNION ALL SELECT 'results', count(*), bit_xor(hash(t)) FROM results AS t
UNION ALL SELECT 'samples', count(*), bit_xor(hash(t)) FROM samples AS t
UNION ALL SELECT 'schema_version', count(*), bit_xor(hash(t)) FROM schema_version AS t
UNION ALL SELECT 'series', count(*), bit_xor(hash(t)) FROM series AS t
UNION ALL SELECT 'spans', count(*), bit_xor(hash(t)) FROM spans AS t
UNION ALL SELECT 'verdicts', count(*), bit_xor(hash(t)) FROM verdicts AS t
UNION ALL SELECT 'watermarks', count(*), bit_xor(hash(t)) FROM watermarks AS t
UNION ALL SELECT 'weights', count(*), bit_xor(hash(t)) FROM weights AS t
ORDER BY name
