-- Blocks that hold metadata: a checkpoint writes them again in place.
SELECT DISTINCT block_id FROM pragma_metadata_info() ORDER BY block_id
