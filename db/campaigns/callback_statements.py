"""The statements of status callbacks."""

from sqlalchemy import text

_LOCK = """
    SELECT m.organization_id, m.id, m.status, m.attempt, m.provider_sid, m.delivery_status, m.sender
    FROM messages m
    JOIN (SELECT DISTINCT * FROM unnest(CAST(:organizations AS text[]), CAST(:ids AS uuid[]))
              AS t (organization_id, id)) named USING (organization_id, id)
    ORDER BY m.organization_id, m.id FOR UPDATE OF m
"""
WAITING = text(_LOCK)
FREE = text(f"{_LOCK} SKIP LOCKED")
THERE = text(
    """
    SELECT m.organization_id, m.id
    FROM messages m JOIN unnest(CAST(:organizations AS text[]), CAST(:ids AS uuid[])) AS t (organization_id, id)
        USING (organization_id, id)
    """
)
BY_SID = text(
    """
    SELECT m.organization_id, m.provider_sid, m.id
    FROM messages m JOIN unnest(CAST(:organizations AS text[]), CAST(:sids AS text[])) AS t (organization_id, sid)
        ON m.organization_id = t.organization_id AND m.provider_sid = t.sid
    """
)
WRITE = text(
    """
    UPDATE messages m
    SET status = 'accepted', provider_sid = t.sid, delivery_status = t.status, error_code = t.code,
        sid_confirmed = m.sid_confirmed AND m.provider_sid IS NOT NULL,
        settled_at = coalesce(m.settled_at, clock_timestamp())
    FROM unnest(CAST(:organizations AS text[]), CAST(:ids AS uuid[]), CAST(:sids AS text[]), CAST(:statuses AS text[]),
                CAST(:codes AS integer[])) AS t (organization_id, id, sid, status, code)
    WHERE m.organization_id = t.organization_id AND m.id = t.id
    """
)
