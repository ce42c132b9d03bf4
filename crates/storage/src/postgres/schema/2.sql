-- Version 2: mail from inside an application's own transaction, by one function
-- that every language can call.

-- Contents that came this way are guarded by their SHA-256, which a server can
-- compute; the others carry a checksum of their own.
ALTER TABLE slimta_submissions ADD COLUMN sha256 bytea;

-- A UUID of version 7.
CREATE FUNCTION slimta_new_id(millis bigint) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT encode(set_byte(bytes, 6, (get_byte(bytes, 6) & 15) | 112), 'hex')::uuid
    FROM (SELECT overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send(millis) FROM 3) FROM 1 FOR 6) AS bytes) AS random
$$;

-- Refuses what is not a mailbox, as Address::parse does; address literals and a
-- bare postmaster are refused, too. `what` names it in the message.
CREATE FUNCTION slimta_check_address(what text, address text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    -- Letters, digits and the signs of an atom, and what lies beyond ASCII but
    -- controls and line separators.
    atom CONSTANT text :=
        '[^\u0001-\u0020"(),.:;<>@\[\\\]\u007f-\u009f\u2028\u2029]+';
    quoted CONSTANT text :=
        '"([^"\\\u0001-\u001f\u007f-\u009f\u2028\u2029]|\\[\u0020-\u007e])*"';
    label_sign CONSTANT text :=
        '[^\u0001-\u002c\u002e\u002f\u003a-\u0040\u005b-\u005e\u0060\u007b-\u009f\u2028\u2029]';
    local_part text;
    domain text;
    label text;
BEGIN
    IF address IS NULL OR address = '' THEN
        RAISE EXCEPTION '% is empty', what USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF strpos(address, '@') = 0 THEN
        RAISE EXCEPTION '% has no domain: "%"', what, left(address, 100)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    domain := substring(address FROM '[^@]*$');
    local_part := left(address, length(address) - length(domain) - 1);
    IF octet_length(local_part) > 256 OR octet_length(domain) > 255 THEN
        RAISE EXCEPTION '% is too long: "%..."', what, left(address, 100)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF local_part !~ ('^' || atom || '(\.' || atom || ')*$')
        AND local_part !~ ('^' || quoted || '$') THEN
        RAISE EXCEPTION '% has a local-part that is not valid: "%"', what, left(address, 100)
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Give the mailbox alone, without a display name or angle brackets.';
    END IF;
    FOREACH label IN ARRAY string_to_array(domain, '.') LOOP
        IF label !~ ('^' || label_sign || '+$') OR label ~ '^-|-$' OR octet_length(label) > 63 THEN
            RAISE EXCEPTION '% has a domain that is not valid: "%"', what, left(address, 100)
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END LOOP;
    IF domain = '' THEN
        RAISE EXCEPTION '% has no domain: "%"', what, left(address, 100)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;

-- Queues a message in the caller's transaction: it is sent if that commits, and
-- was never there if not. Gives its id.
--
-- sender      where notices of failure go; NULL or '' for nowhere
-- recipients  mailboxes such as 'user@example.org'
-- content     the message, header and body, as it is to be sent; each line ends
--             with CR LF
CREATE FUNCTION slimta_enqueue(sender text, recipients text[], content bytea) RETURNS uuid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER AS $$
DECLARE
    part_bytes CONSTANT integer := 65000;
    millis bigint := (extract(epoch FROM clock_timestamp()) * 1000)::bigint;
    new_id uuid := slimta_new_id(millis);
    sender_path text := coalesce(slimta_enqueue.sender, '');
    size integer := octet_length(slimta_enqueue.content);
    signs text;
    is_8bit boolean;
BEGIN
    IF sender_path <> '' THEN
        PERFORM slimta_check_address('the sender', sender_path);
    END IF;
    IF coalesce(cardinality(slimta_enqueue.recipients), 0) = 0 THEN
        RAISE EXCEPTION 'there are no recipients' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM slimta_check_address('recipient ' || number, address)
        FROM unnest(slimta_enqueue.recipients) WITH ORDINALITY AS r (address, number);
    IF coalesce(size, 0) = 0 THEN
        RAISE EXCEPTION 'there are no contents' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF position('\x00'::bytea IN slimta_enqueue.content) > 0 THEN
        RAISE EXCEPTION 'the contents have a NUL' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    signs := convert_from(slimta_enqueue.content, 'LATIN1');
    IF replace(signs, chr(13) || chr(10), '') ~ '[\r\n]' THEN
        RAISE EXCEPTION 'the contents have a CR or LF that does not belong to a line end'
            USING ERRCODE = 'invalid_parameter_value',
                HINT = 'Lines end with CR LF. Contents of type text may end lines with LF alone.';
    END IF;
    is_8bit := signs ~ '[^\u0001-\u007f]';

    INSERT INTO slimta_submissions (id, sharers, bytes, sha256)
    SELECT new_id, count(DISTINCT lower(substring(address FROM '[^@]*$'))), size,
        sha256(slimta_enqueue.content)
    FROM unnest(slimta_enqueue.recipients) AS r (address);

    INSERT INTO slimta_contents (submission, part, data)
    SELECT new_id, part, substring(slimta_enqueue.content FROM part * part_bytes + 1 FOR part_bytes)
    FROM generate_series(0, (size - 1) / part_bytes) AS part;

    -- One message a destination, in the order of the recipients.
    WITH parts AS (
        SELECT lower(substring(address FROM '[^@]*$')) AS destination,
            json_agg(address ORDER BY number) AS addresses, min(number) AS first
        FROM unnest(slimta_enqueue.recipients) WITH ORDINALITY AS r (address, number)
        GROUP BY 1
    ), messages AS MATERIALIZED (
        SELECT CASE first WHEN 1 THEN new_id ELSE slimta_new_id(millis) END AS message_id,
            destination, addresses
        FROM parts
    ), records AS (
        SELECT message_id, destination, convert_to(json_build_object(
            'id', message_id, 'submission', new_id, 'destination', destination,
            'sender', sender_path, 'recipients', addresses, 'is_8bit', is_8bit,
            'received', millis, 'size', size)::text, 'UTF8') AS fields
        FROM messages
    )
    INSERT INTO slimta_messages (
        id, submission, destination, priority, due, received, attempts, is_held, record)
    SELECT message_id, new_id, destination, 1, millis, millis, 0, false, fields || sha256(fields)
    FROM records;

    -- Heard when the transaction commits, and only then.
    PERFORM pg_notify('slimta', '');
    RETURN new_id;
END
$$;

-- The same for text, whose lines may end with LF alone.
CREATE FUNCTION slimta_enqueue(sender text, recipients text[], content text) RETURNS uuid
LANGUAGE sql VOLATILE SECURITY DEFINER AS $$
    SELECT slimta_enqueue($1, $2, convert_to(regexp_replace($3, '\r?\n', E'\r\n', 'g'), 'UTF8'))
$$;

-- They work with the rights of the owner of the tables, on the tables beside
-- them, whatever the caller's search_path says. Who may call them is granted.
DO $$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'slimta_enqueue(text, text[], bytea)', 'slimta_enqueue(text, text[], text)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp',
            signature, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', signature);
    END LOOP;
END
$$;
