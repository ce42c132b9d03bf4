-- Version 4: managers that share the queue know each other. Nothing but speed
-- depends on it, so it need not survive a crash.
CREATE UNLOGGED TABLE slimta_managers (
    owner text PRIMARY KEY,
    -- Until when it manages, unless it says so again.
    lasts_until bigint NOT NULL
);
