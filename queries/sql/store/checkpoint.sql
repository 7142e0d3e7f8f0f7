-- Moves what was committed from the log into the file.
CHECKPOINT
