//! `ringback deliveries`: what is on its way, and how it went.

use crate::{
    args::{DeliveriesCommand, DeliveryListArgs},
    command::{dead::replay_of, operator},
    failure::{Failure, Outcome},
    session::Session,
    view::{
        BreakerView, DeliveryView, RecordListView, ShownDelivery, deliveries_table, delivery_facts,
        moment, round,
    },
};
use jiff::Timestamp;
use ringback_delivery::{
    Replay, ReplayRequest, breaker_before,
    port::{Cursor, DeliveryFilter, Store},
};
use ringback_domain::{DeadLetterId, DeliveryId, DeliveryState, Generation};
use serde::Serialize;

pub(crate) async fn run(session: &Session, command: DeliveriesCommand) -> Outcome {
    let config = session.config()?;
    let desk = session.desk_of(&config).await?;
    let done = match command {
        DeliveriesCommand::List(args) => {
            session.look_for_project(&config, args.project.as_ref());
            session
                .look_for_destination(&*desk.store, args.destination.as_ref())
                .await;
            list(session, &*desk.store, desk.clock.now(), args).await
        }
        DeliveriesCommand::Show { id } => show(session, &*desk.store, desk.clock.now(), &id).await,
        DeliveriesCommand::Replay {
            id,
            again,
            include_stale,
        } => {
            let use_case = replay_of(&config, &desk);
            let request = |id| ReplayRequest {
                id,
                by: operator(),
                again,
                sends_stale: include_stale,
            };
            let done = replay(session, &use_case, &id, request).await;
            if done.is_ok() {
                session.note_if_alone(&desk);
            }
            done
        }
    };
    desk.close().await;
    done
}

async fn list(
    session: &Session,
    store: &dyn Store,
    now: Timestamp,
    args: DeliveryListArgs,
) -> Outcome {
    let [since, until] = args.span.resolve(now)?;
    let filter = DeliveryFilter {
        project: args.project,
        event: args.event,
        job: args.job,
        destination: args.destination,
        state: args.state,
        since,
        until,
    };
    let cursor = args.page.cursor.map(Cursor);
    let page = store
        .deliveries(&filter, cursor.as_ref(), args.page.limit.into())
        .await?;
    let list = RecordListView::<DeliveryView>::of(page);
    session.terminal.data(&list, deliveries_table)?;
    session.terminal.say_more(list.next_cursor.as_deref());
    Failure::if_damaged("delivery", &list.damaged)
}

async fn show(session: &Session, store: &dyn Store, now: Timestamp, id: &DeliveryId) -> Outcome {
    let record = store.delivery(id).await?.ok_or_else(|| no_such(id))?;
    let breaker = if record.state.is_final() {
        None
    } else {
        breaker_before(store, &record, now).await?
    };
    let shown = ShownDelivery {
        delivery: DeliveryView::from(&record),
        breaker: breaker.as_ref().map(BreakerView::from),
    };
    session
        .terminal
        .data(&shown, |shown| delivery_facts(shown, now))
}

#[derive(Serialize)]
struct Replayed {
    id: String,
    dead_letter: String,
    generation: u32,
}

async fn replay(
    session: &Session,
    replay: &Replay,
    id: &DeliveryId,
    request: impl FnOnce(DeadLetterId) -> ReplayRequest,
) -> Outcome {
    let dead_letter = dead_letter_of(&*replay.store, id).await?;
    session.terminal.confirm(&format!("Send {id} again?"))?;
    let request = request(dead_letter.clone());
    let replayed = Replayed {
        id: id.to_string(),
        dead_letter: dead_letter.to_string(),
        generation: replay.replay(&request).await?.get(),
    };
    session.terminal.data(&replayed, |replayed| {
        format!(
            "{} replayed as round {}",
            replayed.id,
            round(replayed.generation)
        )
    })
}

/// The newest dead letter of a delivery: only a dead letter has kept its body.
async fn dead_letter_of(store: &dyn Store, id: &DeliveryId) -> Outcome<DeadLetterId> {
    let Some(record) = store.delivery(id).await? else {
        // The record is forgotten long before the dead letter.
        let first = DeadLetterId::derive(id, Generation::FIRST);
        let found = store.dead_letter(&first).await?;
        return found.map(|_| first).ok_or_else(|| no_such(id));
    };
    match record.state {
        DeliveryState::DeadLettered { id } => Ok(id),
        DeliveryState::Delivered { at } => Err(Failure::refused(format!(
            "delivery {id} was delivered at {}, and what was delivered is not sent again",
            moment(at)
        ))
        .hint("publish the event under another id")),
        DeliveryState::Attempting | DeliveryState::Waiting { .. } => Err(Failure::refused(
            format!("delivery {id} is still under way"),
        )),
    }
}

fn no_such(id: &DeliveryId) -> Failure {
    Failure::not_found(format!("there is no delivery {id}"))
        .hint("old final deliveries are forgotten first")
}
