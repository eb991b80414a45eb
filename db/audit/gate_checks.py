"""The checks of gates and freezes: nothing passed them, and their history agrees with the
receipts.
"""

from db.audit.checks import Check

INTERVALS = """
    SELECT organization_id, after_seq AS from_seq, at AS from_at, change,
           lead(after_seq) OVER w AS to_seq, lead(at) OVER w AS to_at
    FROM examined.gate_changes WHERE change IN ({shut}, {opened})
    WINDOW w AS (PARTITION BY organization_id ORDER BY id)
"""
SHUT = INTERVALS.format(shut="'shut'", opened="'opened'")
SUSPENSION_STEPS = (
    """'[{"step": "suspend_twilio_subaccount"}, {"step": "freeze_wallet"}, """
    """{"step": "pause_campaigns"}]'"""
)
REACTIVATION_STEPS = (
    """'[{"step": "reactivate_twilio_subaccount"}, {"step": "unfreeze_wallet"}, """
    """{"step": "resume_eligible_campaigns"}]'"""
)
STANDING_BY_CHANGES = """
    SELECT organization_id,
           (array_agg(change ORDER BY id DESC) FILTER (WHERE change IN ('shut', 'opened')))[1] AS gate,
           (array_agg(change ORDER BY id DESC) FILTER (WHERE change LIKE '%frozen_by_suspension'))[1] AS suspension,
           (array_agg(change ORDER BY id DESC) FILTER (WHERE change LIKE '%frozen_by_operator'))[1] AS operator
    FROM examined.gate_changes GROUP BY organization_id
"""
"""The expected flags of each wallet."""


def _debits_while(shut: str, opened: str) -> str:
    return f"""
        WITH intervals AS ({INTERVALS.format(shut=f"'{shut}'", opened=f"'{opened}'")})
        SELECT (SELECT count(*) FROM intervals WHERE change = '{shut}'), count(*),
               min(e.organization_id || ', entry ' || e.seq)
        FROM intervals i CROSS JOIN LATERAL (  -- one by one, by an index
            SELECT * FROM ledger_entries l
            WHERE l.organization_id = i.organization_id AND l.kind = 'debit'
                AND l.seq > i.from_seq AND l.seq <= coalesce(i.to_seq, {2**63 - 1})
            OFFSET 0
        ) e
        WHERE i.change = '{shut}'
    """


GATE_CHECKS = (
    Check(
        guarantee=2,
        claim="suspensions that were completed without reading the subaccount back, or that leaked",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong),
               min(organization_id || ', epoch ' || epoch) FILTER (WHERE wrong)
        FROM (
            SELECT organization_id, epoch,
                   NOT steps @> {SUSPENSION_STEPS} OR leaked_debits IS DISTINCT FROM 0
                   OR leaked_messages IS DISTINCT FROM 0 AS wrong
            FROM examined.receipts WHERE status = 'suspended' AND finished_at IS NOT NULL
        ) closed
        """,
    ),
    Check(
        guarantee=3,
        claim="debits that committed while the gate was shut",
        sql=_debits_while("shut", "opened"),
    ),
    Check(
        guarantee=3,
        claim="suspended or blocked organizations whose gate is open",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE w.gate_open) FROM standings s JOIN wallets w USING (organization_id)
        WHERE s.status = 'suspended' OR organization_id IN (SELECT organization_id FROM blocks)
        """,
    ),
    Check(
        guarantee=3,
        claim="active organizations that should be suspended for a block or an unpaid subscription",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE status = 'active'),
               min(organization_id) FILTER (WHERE status = 'active')
        FROM standings
        WHERE organization_id IN (
            SELECT organization_id FROM blocks
            UNION
            SELECT organization_id FROM subscriptions
            WHERE is_current AND (state IN ('suspended_nonpayment', 'paused')
                                  OR shut_for_debt AND past_due_since IS NOT NULL))
        """,
    ),
    Check(
        guarantee=3,
        claim="standings that do not match their receipts",
        # Each new decision has its receipt, and the first one suspends: odd epochs belong to
        # suspensions.
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id) FILTER (WHERE wrong)
        FROM (
            SELECT organization_id,
                   s.epoch IS NULL OR s.epoch <> coalesce(r.number, 0) OR s.epoch <> coalesce(r.newest, 0)
                   OR coalesce(r.other, false) OR (s.status = 'suspended') <> (s.epoch % 2 = 1) AS wrong
            FROM examined.standings s FULL JOIN (
                SELECT organization_id, count(*) AS number, max(epoch) AS newest,
                       bool_or(epoch < 1 OR (status = 'suspended') <> (epoch % 2 = 1)) AS other
                FROM examined.receipts GROUP BY organization_id
            ) r USING (organization_id)
        ) compared
        """,
    ),
    Check(
        guarantee=3,
        claim="receipts that are applied but unfinished, or finished without all their steps",
        # Steps are recorded in order; after a refused step the receipt stays open, and its last
        # line is another step.
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong),
               min(organization_id || ', epoch ' || epoch) FILTER (WHERE wrong)
        FROM (
            SELECT organization_id, r.epoch,
                   CASE WHEN r.finished_at IS NULL
                        THEN s.applied_epoch = r.epoch
                             OR steps @> CASE r.status WHEN 'suspended' THEN {SUSPENSION_STEPS}::jsonb
                                                       ELSE {REACTIVATION_STEPS} END
                                AND steps -> -1 ->> 'step' IN ('pause_campaigns', 'resume_eligible_campaigns')
                        ELSE r.status = 'active' AND NOT steps @> {REACTIVATION_STEPS}
                   END AS wrong
            FROM examined.receipts r JOIN examined.standings s USING (organization_id)
        ) compared
        """,
    ),
    Check(
        guarantee=3,
        claim="wallets whose gate or freezes differ from the last recorded change",
        sql=f"""
        SELECT count(*), count(*) FILTER (WHERE wrong), min(organization_id) FILTER (WHERE wrong)
        FROM (
            SELECT organization_id,
                   w.gate_open <> coalesce(g.gate = 'opened', true)
                   OR w.frozen_by_suspension <> coalesce(g.suspension = 'frozen_by_suspension', false)
                   OR w.frozen_by_operator <> coalesce(g.operator = 'frozen_by_operator', false) AS wrong
            FROM examined.wallets w LEFT JOIN ({STANDING_BY_CHANGES}) g USING (organization_id)
        ) compared
        """,
    ),
    Check(
        guarantee=3,
        claim="changes of a gate or a freeze that do not follow from the previous one, or that no "
        "receipt explains",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong),
               min(organization_id || ', ' || change || ' at epoch ' || epoch) FILTER (WHERE wrong)
        FROM (
            SELECT g.organization_id, g.change, g.epoch,
                   (g.change = lag(g.change, 1, first_of) OVER family)
                   OR g.change NOT LIKE '%operator' AND g.epoch <= lag(g.epoch, 1, 0::bigint) OVER family
                   OR g.after_seq < lag(g.after_seq, 1, 0::bigint) OVER all_of_it OR g.after_seq > w.entries
                   OR CASE g.change
                          WHEN 'shut' THEN r.status IS DISTINCT FROM 'suspended'
                          WHEN 'frozen_by_suspension' THEN r.status IS DISTINCT FROM 'suspended'
                               OR NOT r.steps @> '[{"step": "freeze_wallet"}]'
                          WHEN 'opened' THEN r.status IS DISTINCT FROM 'active'
                               OR NOT r.steps @> '[{"step": "unfreeze_wallet"}]'
                          WHEN 'unfrozen_by_suspension' THEN r.status IS DISTINCT FROM 'active'
                               OR NOT r.steps @> '[{"step": "unfreeze_wallet"}]'
                          ELSE false
                      END AS wrong
            FROM (
                SELECT *, CASE WHEN change IN ('shut', 'opened') THEN 'opened'
                               WHEN change LIKE '%suspension' THEN 'unfrozen_by_suspension'
                               ELSE 'unfrozen_by_operator' END AS first_of
                FROM examined.gate_changes
            ) g
            JOIN examined.wallets w USING (organization_id)
            LEFT JOIN examined.receipts r ON r.organization_id = g.organization_id AND r.epoch = g.epoch
            WINDOW family AS (PARTITION BY g.organization_id, first_of ORDER BY g.id),
                   all_of_it AS (PARTITION BY g.organization_id ORDER BY g.id)
        ) changes
        """,
    ),
    Check(
        guarantee=3,
        claim="receipts whose suspension, freeze or opening has no recorded change of the wallet",
        sql="""
        SELECT count(*), count(*) FILTER (WHERE wrong),
               min(organization_id || ', epoch ' || epoch) FILTER (WHERE wrong)
        FROM (
            SELECT r.organization_id, r.epoch,
                   r.status = 'suspended' AND gate.change IS DISTINCT FROM 'shut'
                   OR r.steps @> '[{"step": "freeze_wallet"}]'
                      AND suspension.change IS DISTINCT FROM 'frozen_by_suspension'
                   OR r.steps @> '[{"step": "unfreeze_wallet"}]'
                      AND (gate.change IS DISTINCT FROM 'opened' OR suspension.change = 'frozen_by_suspension') AS wrong
            FROM examined.receipts r
            LEFT JOIN LATERAL (
                SELECT change FROM gate_changes g
                WHERE g.organization_id = r.organization_id AND g.epoch <= r.epoch AND change IN ('shut', 'opened')
                ORDER BY id DESC LIMIT 1
            ) gate ON true
            LEFT JOIN LATERAL (
                SELECT change FROM gate_changes g
                WHERE g.organization_id = r.organization_id AND g.epoch <= r.epoch
                  AND change IN ('frozen_by_suspension', 'unfrozen_by_suspension')
                ORDER BY id DESC LIMIT 1
            ) suspension ON true
        ) compared
        """,
    ),
    Check(
        guarantee=7,
        claim="debits booked while the suspension had frozen the wallet",
        sql=_debits_while("frozen_by_suspension", "unfrozen_by_suspension"),
    ),
    Check(
        guarantee=7,
        claim="debits booked while an operator had frozen the wallet",
        sql=_debits_while("frozen_by_operator", "unfrozen_by_operator"),
    ),
)
