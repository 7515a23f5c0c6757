//! `ringback deliveries`: what is on its way, and how it went.

use crate::{
    args::{DeliveriesCommand, DeliveryListArgs},
    failure::{Failure, Outcome},
    session::Session,
    view::{DeliveryView, ListView, deliveries_table, delivery_facts},
};
use jiff::Timestamp;
use ringback_delivery::port::{Cursor, DeliveryFilter, Store};
use ringback_domain::DeliveryId;

pub(crate) async fn run(session: &Session, command: DeliveriesCommand) -> Outcome {
    let desk = session.desk().await?;
    let done = match command {
        DeliveriesCommand::List(args) => list(session, &*desk.store, desk.clock.now(), args).await,
        DeliveriesCommand::Show { id } => show(session, &*desk.store, &id).await,
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
    let filter = DeliveryFilter {
        project: args.project,
        event: args.event,
        job: args.job,
        destination: args.destination,
        state: args.state,
        since: args.span.since.map(|moment| moment.resolve(now)),
        until: args.span.until.map(|moment| moment.resolve(now)),
    };
    let cursor = args.page.cursor.map(Cursor);
    let page = store
        .deliveries(&filter, cursor.as_ref(), args.page.limit.into())
        .await?;
    let list = ListView::<DeliveryView>::of(page);
    session.terminal.data(&list, deliveries_table)?;
    session.terminal.say_more(list.next_cursor.as_deref());
    Ok(())
}

async fn show(session: &Session, store: &dyn Store, id: &DeliveryId) -> Outcome {
    let record = store.delivery(id).await?;
    let record = record.ok_or_else(|| {
        Failure::not_found(format!("there is no delivery {id}"))
            .hint("old final deliveries are forgotten first")
    })?;
    session
        .terminal
        .data(&DeliveryView::from(&record), delivery_facts)
}
