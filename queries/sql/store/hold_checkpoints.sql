-- A writer's connection: nothing is checkpointed but by checkpoint.sql, when what it overwrites was kept aside.
SET checkpoint_threshold = '1 TiB';
PRAGMA disable_checkpoint_on_shutdown;
