//! `ringback breakers`: destinations that are spared.

use crate::{
    args::{BreakersCommand, PageArgs},
    failure::Outcome,
    session::Session,
    view::{BreakerView, ListView, breakers_table},
};
use ringback_delivery::{list_breakers, port::Cursor};
use ringback_domain::ProjectName;
use ringback_worker::Backend;

pub(crate) async fn run(session: &Session, command: BreakersCommand) -> Outcome {
    let config = session.config()?;
    let desk = session.desk_of(&config).await?;
    let BreakersCommand::List { project, page } = command;
    session.look_for_project(&config, project.as_ref());
    let done = list(session, &desk, project, page).await;
    desk.close().await;
    done
}

async fn list(
    session: &Session,
    desk: &Backend,
    project: Option<ProjectName>,
    page: PageArgs,
) -> Outcome {
    let cursor = page.cursor.map(Cursor);
    let found = list_breakers(
        &*desk.store,
        project.as_ref(),
        cursor.as_ref(),
        page.limit.into(),
        desk.clock.now(),
    )
    .await?;
    let list = ListView::<BreakerView>::of(found);
    session.terminal.data(&list, breakers_table)?;
    session.terminal.say_more(list.next_cursor.as_deref());
    Ok(())
}
