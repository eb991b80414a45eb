"""The statements that reserve a campaign's messages and begin their hand-over.

Statements that lock several messages lock them by id.
"""

from sqlalchemy import text

TO_SEND = text(
    """
    SELECT id, attempt, price_micros,
           EXISTS (SELECT 1 FROM opt_outs o
                   WHERE o.organization_id = m.organization_id AND o.recipient = m.recipient) AS opted_out
    FROM messages m
    WHERE organization_id = :organization_id AND campaign_id = :campaign_id AND status = 'pending'
      AND coalesce(country, '') <> ALL(CAST(:quiet AS text[]))
    ORDER BY position LIMIT :limit
    """
)
COUNTRIES = text(
    """
    SELECT DISTINCT country FROM messages
    WHERE organization_id = :organization_id AND campaign_id = :campaign_id AND status IN ('pending', 'reserved')
      AND country IS NOT NULL
    """
)
RESERVE = text(  # a new attempt begins without the previous attempt's price
    """
    WITH locked AS MATERIALIZED (
        SELECT id FROM messages WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))
        ORDER BY id FOR UPDATE
    )
    UPDATE messages m
    SET status = 'reserved', attempt = attempt + 1, provider_price_micros = NULL, provider_price_currency = NULL
    FROM locked WHERE m.organization_id = :organization_id AND m.id = locked.id
    """
)
SKIP = text(
    """
    WITH locked AS MATERIALIZED (
        SELECT id FROM messages WHERE organization_id = :organization_id AND id = ANY(CAST(:ids AS uuid[]))
        ORDER BY id FOR UPDATE
    )
    UPDATE messages m
    SET status = 'skipped', problem = 'the recipient has opted out', settled_at = clock_timestamp()
    FROM locked WHERE m.organization_id = :organization_id AND m.id = locked.id
    """
)
BEGIN = text(  # the caller holds the campaign's row, which every change of a reservation requires
    """
    WITH chosen AS MATERIALIZED (
        SELECT id FROM messages
        WHERE organization_id = :organization_id AND campaign_id = :campaign_id AND status = 'reserved'
          AND coalesce(country, '') <> ALL(CAST(:quiet AS text[]))
        ORDER BY position LIMIT :limit
    ), locked AS MATERIALIZED (
        SELECT m.id FROM messages m JOIN chosen USING (id)
        WHERE m.organization_id = :organization_id ORDER BY m.id FOR UPDATE OF m
    )
    UPDATE messages m
    SET status = 'sending', sending_at = clock_timestamp(),
        sender = (SELECT sender FROM organizations WHERE id = :organization_id)
    FROM locked WHERE m.organization_id = :organization_id AND m.id = locked.id
    RETURNING m.id, m.position, m.recipient, m.segments, m.price_micros, m.attempt, m.sending_at, m.sender,
              m.country
    """
)
WAITING = text(  # found by messages_status_idx: a million waiting messages are not counted
    """
    SELECT (SELECT count(*) FROM messages
            WHERE organization_id = :organization_id AND campaign_id = :campaign_id AND status = 'reserved'
              AND coalesce(country, '') <> ALL(CAST(:quiet AS text[]))) AS reserved,
           (SELECT count(*) FROM messages
            WHERE organization_id = :organization_id AND campaign_id = :campaign_id
              AND status IN ('sending', 'unknown')) AS unknown,
           least((SELECT min(position) FROM messages
                  WHERE organization_id = :organization_id AND campaign_id = :campaign_id AND status = 'pending'),
                 (SELECT min(position) FROM messages
                  WHERE organization_id = :organization_id AND campaign_id = :campaign_id AND status = 'reserved')
           ) AS position
    """
)
