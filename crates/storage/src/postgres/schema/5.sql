-- Version 5: a page of one destination's mail, held mail too, in the order of ids.
CREATE INDEX slimta_messages_destination ON slimta_messages (destination, id);
