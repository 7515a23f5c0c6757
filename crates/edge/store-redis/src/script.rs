//! The scripts. Each is one step; what several need is put before them.

use redis::Script;
use std::sync::LazyLock;

macro_rules! script {
    ($name:ident, $($file:literal),+) => {
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!($(include_str!(concat!("lua/", $file)), "\n"),+))
        });
    };
}

script!(KEEP_EVENT_KNOWN, "keep_event_known.lua");
script!(EVENT_MOMENT, "event_moment.lua");
script!(CLAIM, "common.lua", "claims.lua", "claim.lua");
script!(
    SHOW_ATTEMPTING,
    "common.lua",
    "claims.lua",
    "log.lua",
    "show_attempting.lua"
);
script!(
    SHOW_WAITING,
    "common.lua",
    "claims.lua",
    "log.lua",
    "show_waiting.lua"
);
script!(PUT_BLOCKS, "put_blocks.lua");
script!(MAKE_ROOM, "common.lua", "log.lua", "make_room.lua");
script!(
    SETTLE,
    "common.lua",
    "claims.lua",
    "log.lua",
    "traffic.lua",
    "settle.lua"
);
// Every function costs something each time, so that the many settlements without a dead letter go without these.
script!(
    SETTLE_DEAD,
    "common.lua",
    "claims.lua",
    "log.lua",
    "groups.lua",
    "letters.lua",
    "traffic.lua",
    "settle.lua"
);
script!(
    PUT_LETTER,
    "common.lua",
    "groups.lua",
    "letters.lua",
    "put_letter.lua"
);
script!(
    DISPOSE,
    "common.lua",
    "groups.lua",
    "disposing.lua",
    "dispose.lua"
);
script!(
    MARK_REPLAYED,
    "common.lua",
    "groups.lua",
    "disposing.lua",
    "mark_replayed.lua"
);
script!(
    LIST_GROUPS,
    "common.lua",
    "groups.lua",
    "letters.lua",
    "list_groups.lua"
);
script!(CHECK_GROUPS, "common.lua", "groups.lua", "check_groups.lua");
script!(RECOUNT, "common.lua", "groups.lua", "recount.lua");
script!(UNGROUPED, "common.lua", "groups.lua", "ungrouped.lua");
script!(
    REGROUP,
    "common.lua",
    "groups.lua",
    "letters.lua",
    "regroup.lua"
);
script!(USAGE, "usage.lua");
script!(OLDEST_LETTERS, "common.lua", "oldest_letters.lua");
script!(
    FORGET_LETTER,
    "common.lua",
    "groups.lua",
    "letters.lua",
    "forget_letter.lua"
);
script!(CLAIM_ROOM, "claim_room.lua");
script!(ACKNOWLEDGE, "acknowledge.lua");
script!(
    READ_TRAFFIC,
    "common.lua",
    "traffic.lua",
    "read_traffic.lua"
);
script!(LIST, "common.lua", "lines.lua", "list.lua");
script!(STANDINGS, "common.lua", "claims.lua", "standings.lua");
script!(COUNT, "common.lua", "count.lua");
script!(
    PRUNE,
    "common.lua",
    "groups.lua",
    "letters.lua",
    "prune.lua"
);
script!(READ_RECORD, "read_record.lua");
script!(PUT_WEBHOOK, "put_webhook.lua");
script!(LIST_WEBHOOKS, "list_webhooks.lua");
script!(REMOVE_WEBHOOK, "remove_webhook.lua");
script!(PUT_API_KEY, "put_api_key.lua");
script!(PUT_BREAKER, "put_breaker.lua");
script!(REMOVE_BREAKER, "remove_breaker.lua");
script!(RESERVE_TURN, "common.lua", "reserve_turn.lua");
script!(CREATE_PLAN, "common.lua", "plans.lua", "create_plan.lua");
script!(CHANGE_PLAN, "plans.lua", "change_plan.lua");
script!(LEASE_PLAN, "common.lua", "lease_plan.lua");
script!(ADVANCE_PLAN, "common.lua", "plans.lua", "advance_plan.lua");
