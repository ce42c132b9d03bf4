-- Version 3: what operators and idle servers ask for costs no more with a
-- million messages than with a thousand.

-- Leases in force are few. A lease that is written costs its row a new place in
-- the indexes now; mail that is delivered at once is never written again.
CREATE INDEX slimta_messages_leased ON slimta_messages (lease_end) WHERE lease_end IS NOT NULL;

-- What is due next in all of the queue. It is found as `due + 0` only: a planner
-- that knows no better takes an index on `due` for a claim, too, and reads what
-- is due of all destinations to find that of one.
DROP INDEX slimta_messages_due;
CREATE INDEX slimta_messages_due ON slimta_messages ((due + 0))
    WHERE NOT is_held AND quarantined IS NULL;

-- Changes of the counts: their sum is what there is. Nobody waits for another's
-- row, as all would if there were one row with the sum.
CREATE TABLE slimta_counts (
    -- Held ones too, but none in quarantine.
    messages bigint NOT NULL,
    held bigint NOT NULL,
    -- Tried before, and not held.
    deferred bigint NOT NULL,
    quarantined bigint NOT NULL,
    bytes bigint NOT NULL
);
ALTER TABLE slimta_counts SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

INSERT INTO slimta_counts
SELECT count(*) FILTER (WHERE quarantined IS NULL),
    count(*) FILTER (WHERE quarantined IS NULL AND is_held),
    count(*) FILTER (WHERE quarantined IS NULL AND NOT is_held AND attempts > 0),
    count(*) FILTER (WHERE quarantined IS NOT NULL),
    (SELECT coalesce(sum(bytes), 0) FROM slimta_submissions)
FROM slimta_messages;

-- Now and then, adds up what has come together. What others are adding up, or
-- have not committed, is left.
CREATE FUNCTION slimta_add_up() RETURNS void LANGUAGE sql VOLATILE AS $$
    WITH gone AS (
        DELETE FROM slimta_counts WHERE ctid = ANY (ARRAY(
            SELECT ctid FROM slimta_counts LIMIT 1000 FOR UPDATE SKIP LOCKED))
        RETURNING *
    )
    INSERT INTO slimta_counts
    SELECT sum(messages), sum(held), sum(deferred), sum(quarantined), sum(bytes)
    FROM gone HAVING count(*) > 0
$$;

CREATE FUNCTION slimta_count_messages() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sign CONSTANT integer := CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END;
BEGIN
    INSERT INTO slimta_counts
    SELECT sign * count(*) FILTER (WHERE quarantined IS NULL),
        sign * count(*) FILTER (WHERE quarantined IS NULL AND is_held),
        sign * count(*) FILTER (WHERE quarantined IS NULL AND NOT is_held AND attempts > 0),
        sign * count(*) FILTER (WHERE quarantined IS NOT NULL),
        0
    FROM changed HAVING count(*) > 0;
    IF random() < 0.01 THEN
        PERFORM slimta_add_up();
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION slimta_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO slimta_counts VALUES (
        (NEW.quarantined IS NULL)::integer - (OLD.quarantined IS NULL)::integer,
        (NEW.quarantined IS NULL AND NEW.is_held)::integer
            - (OLD.quarantined IS NULL AND OLD.is_held)::integer,
        (NEW.quarantined IS NULL AND NOT NEW.is_held AND NEW.attempts > 0)::integer
            - (OLD.quarantined IS NULL AND NOT OLD.is_held AND OLD.attempts > 0)::integer,
        (NEW.quarantined IS NOT NULL)::integer - (OLD.quarantined IS NOT NULL)::integer,
        0);
    RETURN NULL;
END
$$;

CREATE FUNCTION slimta_count_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO slimta_counts
    SELECT 0, 0, 0, 0, CASE TG_OP WHEN 'INSERT' THEN 1 ELSE -1 END * sum(bytes)
    FROM changed HAVING count(*) > 0;
    RETURN NULL;
END
$$;

CREATE TRIGGER slimta_inserted AFTER INSERT ON slimta_messages
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION slimta_count_messages();
CREATE TRIGGER slimta_deleted AFTER DELETE ON slimta_messages
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION slimta_count_messages();
-- A lease changes no count.
CREATE TRIGGER slimta_changed AFTER UPDATE ON slimta_messages FOR EACH ROW
    WHEN (OLD.is_held <> NEW.is_held OR (OLD.attempts > 0) <> (NEW.attempts > 0)
        OR (OLD.quarantined IS NULL) <> (NEW.quarantined IS NULL))
    EXECUTE FUNCTION slimta_count_change();
CREATE TRIGGER slimta_inserted AFTER INSERT ON slimta_submissions
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION slimta_count_bytes();
CREATE TRIGGER slimta_deleted AFTER DELETE ON slimta_submissions
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION slimta_count_bytes();

-- On the tables beside them, whatever the search_path says.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['slimta_add_up', 'slimta_count_messages', 'slimta_count_change',
        'slimta_count_bytes'] LOOP
        EXECUTE format('ALTER FUNCTION %s() SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END
$$;
