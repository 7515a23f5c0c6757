//! `ringback dead groups` and `ringback dead acknowledge`: dead letters by what they have in common.

use crate::{
    args::{DeadAcknowledgeArgs, DeadGroupsArgs},
    command::operator,
    failure::{Exit, Failure, Outcome},
    session::Session,
    view::{GroupListView, GroupView, group_facts, groups_table},
};
use jiff::Timestamp;
use ringback_delivery::{
    port::{Cursor, GroupFilter, GroupOrder, Store},
    shares_of_traffic,
};
use ringback_domain::{Acknowledgement, limits};

pub(super) async fn list(
    session: &Session,
    store: &dyn Store,
    now: Timestamp,
    args: DeadGroupsArgs,
) -> Outcome {
    let filter = GroupFilter {
        project: args.project,
        destination: args.destination,
        cause: None,
        words: args.text.map_or_else(Vec::new, |text| text.words()),
        order: match args.by.as_str() {
            "count" => GroupOrder::Count,
            _ => GroupOrder::LastDied,
        },
        after: args.page.cursor.map(Cursor),
    };
    let list = store
        .dead_letter_groups(&filter, args.page.limit.into())
        .await?;
    let shares = shares_of_traffic(store, &list.groups, now).await?;
    let view = GroupListView::of(&list, &shares);
    session.terminal.data(&view, groups_table)?;
    session.terminal.say_more(view.next_cursor.as_deref());
    if view.ungrouped_count > 0 && !session.terminal.is_json() {
        session.terminal.say(&format!(
            "{} dead letters are in no group, because there are too many groups or they were stored by an earlier release",
            view.ungrouped_count
        ));
    }
    Ok(())
}

pub(super) async fn acknowledge(
    session: &Session,
    store: &dyn Store,
    now: Timestamp,
    args: DeadAcknowledgeArgs,
) -> Outcome {
    let filter = GroupFilter {
        project: args.project,
        cause: Some(args.fingerprint.clone()),
        ..GroupFilter::default()
    };
    let found = store
        .dead_letter_groups(&filter, limits::PAGE_ENTRIES_MAX)
        .await?
        .groups;
    let group = match found.as_slice() {
        [] => return Err(no_such(&args.fingerprint)),
        [group] => group,
        _ => {
            return Err(
                Failure::new(Exit::Refused, "several projects have a group of that cause")
                    .hint("say which with --project"),
            );
        }
    };
    let acknowledgement = Acknowledgement {
        at: now,
        by: operator(),
        note: args.note,
        seen_until: group.last_died_at,
    };
    let project = group.head.project.as_ref();
    let group = store
        .acknowledge_group(project, &args.fingerprint, &acknowledgement)
        .await?
        .ok_or_else(|| no_such(&args.fingerprint))?;
    let shares = shares_of_traffic(store, std::slice::from_ref(&group), now).await?;
    session
        .terminal
        .data(&GroupView::of(&group, shares[0]), group_facts)
}

fn no_such(fingerprint: &str) -> Failure {
    Failure::not_found(format!("no open dead letter has cause `{fingerprint}`"))
        .hint("`ringback dead groups` shows the causes there are")
}
