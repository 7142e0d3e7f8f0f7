-- Version 2: samples are kept for a set time, facts for ever.

-- A series' first and last sample ever read, whether or not they are still kept.
CREATE TABLE spans (series BIGINT NOT NULL, first_ms BIGINT NOT NULL, last_ms BIGINT NOT NULL);
INSERT INTO spans SELECT series, min(ts), max(ts) FROM samples GROUP BY series;

-- From where on increments of an input are kept: facts that start before can't be computed again. On a full hour.
CREATE TABLE kept (experiment VARCHAR NOT NULL, input VARCHAR NOT NULL, from_ms BIGINT NOT NULL);
