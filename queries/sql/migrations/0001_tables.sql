-- Version 1: what a pull writes and a verdict reads. Each layer can be derived from the one above it.

-- What an experiment reads: which metric uses which input (a distinct selector, filled in).
CREATE TABLE inputs (
  experiment VARCHAR NOT NULL,
  metric VARCHAR NOT NULL,
  role VARCHAR NOT NULL,
  input VARCHAR NOT NULL,
  selector VARCHAR NOT NULL,
  by_instance BOOLEAN NOT NULL          -- facts keep instances beside replicates: a technical metric uses the input
);

-- One time series of an input.
CREATE TABLE series (
  series BIGINT PRIMARY KEY,            -- xxh64 of experiment, input and labels
  experiment VARCHAR NOT NULL,
  input VARCHAR NOT NULL,
  labels VARCHAR NOT NULL,              -- canonical JSON, __name__ included
  variant VARCHAR NOT NULL,             -- '' where it belongs to none
  version VARCHAR NOT NULL,
  assignment VARCHAR NOT NULL,          -- hash, rule, forced, none; '' where not labelled
  replicate INTEGER NOT NULL,           -- -1 where not labelled
  instance VARCHAR NOT NULL,            -- pod, else instance
  target VARCHAR NOT NULL,              -- what Prometheus scrapes as one; '' where not known
  le DOUBLE                             -- a bucket's upper bound, in the series' own unit
);

-- As scraped. No key: one would cost seven times the load and ten times the room; a pull deletes a range and inserts it.
CREATE TABLE samples (series BIGINT NOT NULL, ts BIGINT NOT NULL, value DOUBLE NOT NULL);

-- Exact increments, by the later of the two samples; rows with neither an increment nor a flag are left out.
CREATE TABLE increments (
  series BIGINT NOT NULL,
  previous_ts BIGINT,                   -- when the increment began; NULL where that is not known
  ts BIGINT NOT NULL,
  increment DOUBLE NOT NULL,
  flags INTEGER NOT NULL                -- 1 reset, 2 birth (counted from 0), 4 gap, 8 birth that was not seen (left out), 16 goes on under other labels: increments.sql, mark_gaps.sql
);

-- Sums over cells of time: minutes for the newest 48 hours, hours before; no cell straddles a weight epoch.
CREATE TABLE facts (
  experiment VARCHAR NOT NULL,
  input VARCHAR NOT NULL,
  variant VARCHAR NOT NULL,
  assignment VARCHAR NOT NULL,
  replicate INTEGER NOT NULL,           -- -1 where not labelled
  instance VARCHAR NOT NULL,            -- '' where not kept
  le DOUBLE,
  start_ms BIGINT NOT NULL,
  end_ms BIGINT NOT NULL,
  total DECIMAL(38, 12) NOT NULL         -- fixed point: a sum does not depend on the order of its parts
);

-- The split in force.
CREATE TABLE weights (
  experiment VARCHAR NOT NULL,
  from_ms BIGINT NOT NULL,
  to_ms BIGINT,                         -- NULL: still in force
  variant VARCHAR NOT NULL,
  weight INTEGER NOT NULL,              -- basis points
  known VARCHAR NOT NULL                -- how: spec
);

-- Moments that no cell of facts straddles: weight epochs, and where the analysis starts and ends.
CREATE TABLE cuts (experiment VARCHAR NOT NULL, at_ms BIGINT NOT NULL);

-- What was read of an input: samples from read_from_ms on, increments counted in [start_ms, end_ms).
CREATE TABLE watermarks (
  experiment VARCHAR NOT NULL,
  input VARCHAR NOT NULL,
  read_from_ms BIGINT NOT NULL,
  start_ms BIGINT NOT NULL,
  end_ms BIGINT NOT NULL
);

-- Pulls, by window; the same pull again replaces its row.
CREATE TABLE pulls (
  pull BIGINT NOT NULL,                 -- counts up
  experiment VARCHAR NOT NULL,
  start_ms BIGINT NOT NULL,
  end_ms BIGINT NOT NULL,
  source VARCHAR NOT NULL,
  way VARCHAR NOT NULL,
  samples BIGINT NOT NULL,
  series BIGINT NOT NULL,
  quality VARCHAR NOT NULL              -- JSON
);

-- Append-only.
CREATE TABLE verdicts (
  id BIGINT PRIMARY KEY,
  experiment VARCHAR NOT NULL,
  as_of_ms BIGINT,                      -- NULL without data, like the window
  window_start_ms BIGINT,
  window_end_ms BIGINT,
  fingerprint VARCHAR NOT NULL,         -- of the document
  spec_hash VARCHAR NOT NULL,
  abkit_version VARCHAR NOT NULL,
  verdict VARCHAR NOT NULL,
  document VARCHAR NOT NULL             -- JSON, as printed
);

-- Append-only: a verdict's numbers, a row a metric and variant.
CREATE TABLE results (
  verdict BIGINT NOT NULL,
  metric VARCHAR NOT NULL,
  variant VARCHAR NOT NULL,
  document VARCHAR NOT NULL             -- JSON
);
