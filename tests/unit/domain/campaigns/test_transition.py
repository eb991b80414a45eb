"""Every status of a campaign against every act."""

import pytest

from domain.campaigns.campaign import Act, ActFacts, CampaignStatus, NoChange, transition

DRAFT, SCHEDULED, RUNNING, PARKED, PAUSED, COMPLETED, CANCELED = CampaignStatus
NO, DONE = NoChange.REFUSED, NoChange.DONE_BEFORE

TABLE = {
    # act           draft      scheduled  running    parked     paused     completed  canceled
    Act.START:     (RUNNING,   RUNNING,   DONE,      DONE,      NO,        DONE,      NO),
    Act.SCHEDULE:  (SCHEDULED, SCHEDULED, NO,        NO,        NO,        NO,        NO),
    Act.PAUSE:     (NO,        PAUSED,    PAUSED,    PAUSED,    DONE,      NO,        NO),
    Act.RESUME:    (NO,        DONE,      DONE,      RUNNING,   RUNNING,   NO,        NO),
    Act.CANCEL:    (CANCELED,  CANCELED,  CANCELED,  CANCELED,  CANCELED,  NO,        DONE),
    Act.BEGIN:     (NO,        RUNNING,   NO,        NO,        NO,        NO,        NO),
    Act.PARK:      (NO,        PARKED,    PARKED,    PARKED,    NO,        NO,        NO),
    Act.GO_ON:     (NO,        NO,        NO,        RUNNING,   NO,        NO,        NO),
    Act.COMPLETE:  (NO,        NO,        COMPLETED, NO,        NO,        NO,        NO),
    Act.REOPEN:    (NO,        NO,        NO,        NO,        NO,        RUNNING,   NO),
}  # fmt: skip
EVERY = [
    (status, act, target)
    for act, targets in TABLE.items()
    for status, target in zip(CampaignStatus, targets, strict=True)
]


def test_the_table_has_every_act() -> None:
    assert set(TABLE) == set(Act)


@pytest.mark.parametrize(("status", "act", "target"), EVERY)
def test_every_status_meets_every_act(
    status: CampaignStatus, act: Act, target: CampaignStatus | NoChange
) -> None:
    assert transition(status, act) is target


@pytest.mark.parametrize(("status", "act", "target"), EVERY)
def test_a_time_to_come_changes_only_where_a_resumed_campaign_goes(
    status: CampaignStatus, act: Act, target: CampaignStatus | NoChange
) -> None:
    waits_again = (status, act) == (PAUSED, Act.RESUME)

    after = transition(status, act, ActFacts(begins_later=True))

    assert after is (SCHEDULED if waits_again else target)


@pytest.mark.parametrize(("status", "act", "target"), EVERY)
def test_a_suspension_changes_only_where_a_reopened_campaign_goes(
    status: CampaignStatus, act: Act, target: CampaignStatus | NoChange
) -> None:
    parked = (status, act) == (COMPLETED, Act.REOPEN)

    after = transition(status, act, ActFacts(may_not_send=True))

    assert after is (PARKED if parked else target)


@pytest.mark.parametrize("act", [Act.BEGIN, Act.PARK, Act.GO_ON, Act.COMPLETE, Act.REOPEN])
def test_only_a_person_moves_what_a_person_paused(act: Act) -> None:
    assert transition(PAUSED, act) is NoChange.REFUSED
