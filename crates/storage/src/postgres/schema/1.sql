-- The tables of a queue, version 1. docs/design/postgres.md says why they are so.
-- Times are milliseconds since 1970 by the clock of this server.

CREATE TABLE slimta_submissions (
    id uuid PRIMARY KEY,
    -- How many of its messages are left; contents go with the last.
    sharers integer NOT NULL,
    bytes bigint NOT NULL
);

CREATE TABLE slimta_contents (
    submission uuid NOT NULL,
    part integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (submission, part)
);
-- Mail hardly shrinks, and is read once.
ALTER TABLE slimta_contents ALTER COLUMN data SET STORAGE EXTERNAL;

CREATE SEQUENCE slimta_tokens;

CREATE TABLE slimta_messages (
    id uuid PRIMARY KEY,
    submission uuid NOT NULL,
    destination text COLLATE "C" NOT NULL,
    priority smallint NOT NULL,
    due bigint NOT NULL,
    received bigint NOT NULL,
    attempts integer NOT NULL,
    is_held boolean NOT NULL,
    -- Why it cannot be read; such a message is kept and left alone.
    quarantined text,
    record bytea NOT NULL,
    -- The last lease, unless it was given back.
    lease_owner text,
    lease_token bigint,
    lease_end bigint
) WITH (fillfactor = 80);

-- What could be claimed, in the order in which it is.
CREATE INDEX slimta_messages_waiting ON slimta_messages (destination, priority, due, id)
    WHERE NOT is_held AND quarantined IS NULL;
CREATE INDEX slimta_messages_due ON slimta_messages (due)
    WHERE NOT is_held AND quarantined IS NULL;
CREATE INDEX slimta_messages_submission ON slimta_messages (submission);

-- A queue turns over all day: what is dead must go before it is in the way.
ALTER TABLE slimta_messages SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE slimta_contents SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE slimta_submissions SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
