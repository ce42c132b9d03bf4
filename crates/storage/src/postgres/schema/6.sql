-- Version 6: destinations whose mail operators keep back.
CREATE TABLE slimta_suspensions (
    -- As slimta reads it: a destination, or all below a domain.
    destinations text COLLATE "C" PRIMARY KEY,
    reason text NOT NULL,
    -- When it ends by itself; null if it does not.
    ends bigint
);
