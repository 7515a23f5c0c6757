//! Dead letters chosen one by one from a list: shown once more, then replayed or discarded together.

use super::{letter_table, note_of};
use crate::{
    Desk,
    form::{Faults, Fields},
    page::{Answer, PAGE_ENTRIES},
    refusal::Refusal,
    view::{Field, Page, Section, Tone, card, counted, form, head, note},
    visitor::{Manager, Visitor},
};
use axum::{Router, extract::State, routing::post};
use maud::{Markup, html};
use ringback_api::problem::Problem;
use ringback_delivery::{ReplayError, ReplayRequest, port::DisposeAnswer, stale};
use ringback_domain::{DeadLetter, DeadLetterId, Disposal, harmless_text};
use std::sync::Arc;

/// Where what was chosen goes.
const PATH: &str = "/dead-letters/chosen";

pub(super) fn routes() -> Router<Arc<Desk>> {
    Router::new().route(PATH, post(decide))
}

/// What is done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Replay,
    Discard,
}

impl Wish {
    fn of(fields: &Fields) -> Result<Self, Problem> {
        match fields.get("wish") {
            Some("replay") => Ok(Self::Replay),
            Some("discard") => Ok(Self::Discard),
            _ => Err(Problem::of_member("wish", "is none of replay, discard")),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }
}

/// A list from which those who may manage can choose.
pub(super) fn choice(visitor: &Visitor, list: &Markup) -> Markup {
    if !visitor.may_manage() {
        return list.clone();
    }
    let content = html! {
        (list)
        div.pad.actions {
            button type="button" data-choose="id" { "Choose all shown" }
            button type="submit" name="wish" value="replay" { "Replay the chosen…" }
            button.danger type="submit" name="wish" value="discard" { "Discard the chosen…" }
        }
    };
    form(PATH, &visitor.token, &content)
}

/// The box before a dead letter in a list.
pub(super) fn choose_box(visitor: &Visitor, letter: &DeadLetter, title: &str) -> Markup {
    html! {
        @if visitor.may_manage() {
            input type="checkbox" name="id" value=(letter.id) aria-label={ "Choose " (title) " " (letter.id) };
            " "
        }
    }
}

async fn decide(
    Manager(visitor): Manager,
    State(desk): State<Arc<Desk>>,
    fields: Fields,
) -> Answer {
    let wish = Wish::of(&fields)?;
    let mut letters = Vec::new();
    let mut gone = 0_u64;
    for id in chosen(&fields)? {
        let found = desk.services.context.store.dead_letter(&id).await?;
        let what = format!("dead letter {id}");
        match visitor.if_in_reach(found, |letter| letter.project.as_ref(), &what) {
            Ok(letter) => letters.push(letter),
            Err(_) => gone += 1,
        }
    }
    if !fields.has("sure", "yes") {
        return Ok(question(&desk, &visitor, wish, &letters, gone));
    }
    let mut done = Done {
        gone,
        ..Done::default()
    };
    match wish {
        Wish::Replay => {
            let sends_stale = fields.has("stale", "yes");
            for letter in &letters {
                done.replay(&desk, &visitor, letter, sends_stale).await?;
            }
        }
        Wish::Discard => {
            let note = note_of(&fields)?;
            for letter in &letters {
                done.discard(&desk, &visitor, letter, &note).await?;
            }
        }
    }
    Ok(outcome(&visitor, wish, &done))
}

/// The ids, which are at most as many as a list shows.
fn chosen(fields: &Fields) -> Result<Vec<DeadLetterId>, Problem> {
    let mut ids: Vec<DeadLetterId> = Vec::new();
    for text in fields.all("id") {
        let id = text.parse();
        ids.push(id.map_err(|_| Problem::of_member("id", "is no id of a dead letter"))?);
    }
    ids.sort();
    ids.dedup();
    match ids.len() {
        0 => Err(Problem::of_member(
            "id",
            "no dead letter was chosen: check those that you mean",
        )),
        many if many > PAGE_ENTRIES => {
            let problem = format!("are more than {PAGE_ENTRIES}: make a replay plan of them");
            Err(Problem::of_member("id", problem))
        }
        _ => Ok(ids),
    }
}

/// What would be done, and to which.
fn question(
    desk: &Desk,
    visitor: &Visitor,
    wish: Wish,
    letters: &[DeadLetter],
    gone: u64,
) -> axum::response::Response {
    let profiles = &desk.services.context.profiles;
    let stale = letters
        .iter()
        .filter(|letter| stale(letter, profiles, visitor.now).is_some())
        .count();
    let what = counted(letters.len() as u64, "dead letter", "dead letters");
    let title = format!("{what}: {}?", wish.word());
    let fields = html! {
        div.form {
            @for letter in letters { input type="hidden" name="id" value=(letter.id); }
            input type="hidden" name="wish" value=(wish.word());
            input type="hidden" name="sure" value="yes";
            @match wish {
                Wish::Replay => {
                    p { "Each is sent again at once, as a new round of attempts with the same id and body. For many at a pace, make a replay plan instead." }
                    @if stale > 0 {
                        label.check {
                            input type="checkbox" name="stale" value="yes";
                            "Also " (counted(stale as u64, "that is stale", "that are stale")) ": older than their profile says a body is of use"
                        }
                    }
                    div.actions { button.main type="submit" { "Replay them" } a.button href="/dead-letters/list" { "Leave them" } }
                },
                Wish::Discard => {
                    p { "They no longer count as open, and join no replay plan. They are kept until their retention ends." }
                    (Field::text("note", "Why", "").hint(html! { "Kept with each of them, beside your key." }).required().show(&Faults::default()))
                    div.actions { button.danger type="submit" { "Discard them" } a.button href="/dead-letters/list" { "Leave them" } }
                },
            }
        }
    };
    let content = html! {
        (head(Some(("/dead-letters/list", "All dead letters")), &html! { (title) }, &html! {}, &html! {}))
        @if gone > 0 { (note(Tone::Warn, "note", &html! { p { (counted(gone, "that you chose is no longer kept.", "that you chose are no longer kept.")) } })) }
        @if !letters.is_empty() {
            section.card aria-label="What to do" { div.pad { (form(PATH, &visitor.token, &fields)) } }
            (card("Which", &html! {}, &letter_table(letters, visitor, false)))
        }
    };
    let mut page = Page::new(visitor, Section::DeadLetters, &title);
    page.place = Some("/dead-letters/list");
    page.respond(&content)
}

/// How far it came.
#[derive(Debug, Default)]
struct Done {
    count: u64,
    gone: u64,
    /// Which were left as they are, and why.
    left: Vec<(DeadLetterId, String)>,
}

impl Done {
    async fn replay(
        &mut self,
        desk: &Desk,
        visitor: &Visitor,
        letter: &DeadLetter,
        sends_stale: bool,
    ) -> Result<(), Refusal> {
        let request = ReplayRequest {
            id: letter.id.clone(),
            by: visitor.name(),
            again: false,
            sends_stale,
        };
        match desk.services.replay.replay(&request).await {
            Ok(_) => self.count += 1,
            Err(failure @ (ReplayError::Store(_) | ReplayError::Queue(_))) => {
                return Err(failure.into());
            }
            Err(refused) => self.left.push((letter.id.clone(), refused.to_string())),
        }
        Ok(())
    }

    async fn discard(
        &mut self,
        desk: &Desk,
        visitor: &Visitor,
        letter: &DeadLetter,
        note: &str,
    ) -> Result<(), Refusal> {
        let discards = &desk.services.discards;
        match discards.one(&letter.id, note, &visitor.name()).await? {
            DisposeAnswer::Disposed => self.count += 1,
            DisposeAnswer::NotFound => self.gone += 1,
            DisposeAnswer::Already(Disposal::Discarded { .. }) => self
                .left
                .push((letter.id.clone(), "it was discarded before".to_owned())),
            DisposeAnswer::Already(_) => self
                .left
                .push((letter.id.clone(), "it was replayed before".to_owned())),
        }
        Ok(())
    }
}

fn outcome(visitor: &Visitor, wish: Wish, done: &Done) -> axum::response::Response {
    let title = match wish {
        Wish::Replay => counted(done.count, "is on its way again", "are on their way again"),
        Wish::Discard => counted(done.count, "was discarded", "were discarded"),
    };
    let is_all = done.left.is_empty() && done.gone == 0;
    let tone = if is_all { Tone::Good } else { Tone::Warn };
    let news = html! {
        @if is_all { p { "That is all that were chosen." } }
        @if done.gone > 0 { p { (counted(done.gone, "is no longer kept.", "are no longer kept.")) } }
        @if !done.left.is_empty() {
            p { (counted(done.left.len() as u64, "was left as it is:", "were left as they are:")) }
            ul { @for (id, why) in &done.left { li { a href={ "/dead-letters/" (id) } { code { (id) } } ": " (harmless_text(why.as_bytes())) } } }
        }
    };
    let content = html! {
        (head(Some(("/dead-letters/list", "All dead letters")), &html! { (title) }, &html! {}, &html! {}))
        (note(tone, "status", &news))
    };
    let mut page = Page::new(visitor, Section::DeadLetters, &title);
    page.place = Some("/dead-letters/list");
    page.respond(&content)
}
