//! Dead letters chosen from a list are shown once more before anything is done with them.

use crate::{LOOK, MANAGE, scene::Scene, visit::Visit};
use http::StatusCode;
use ringback_domain::{DeadLetter, Disposal};
use ringback_testkit::receiver::Answer;

const PATH: &str = "/dead-letters/chosen";

async fn with_dead_letters(scene: &Scene, project: &str, count: usize) -> Vec<DeadLetter> {
    scene.receiver.script("/failing", [Answer::status(500)]);
    scene.webhook(project, "/failing").await;
    for _ in 0..count {
        scene.publish(project, "task.completed").await;
    }
    scene.dead_letters(project, count).await
}

async fn disposal(scene: &Scene, letter: &DeadLetter) -> Disposal {
    let store = &scene.services.context.store;
    let found = store.dead_letter(&letter.id).await.unwrap();
    found.unwrap().disposal
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_chosen_is_shown_and_then_replayed_or_discarded() {
    let scene = Scene::begin().await;
    let letters = with_dead_letters(&scene, "acme", 4).await;
    let mut visit = Visit::of(&scene);
    let key = scene.key(Some("acme"), MANAGE).await;
    visit.sign_in(&key, None).await;
    let list = visit.get("/dead-letters/list").await.body;
    assert!(
        list.contains(&format!("name=\"id\" value=\"{}\"", letters[0].id)),
        "{list}"
    );

    scene.receiver.script("/failing", [Answer::status(200)]);
    let (one, other) = (letters[0].id.to_string(), letters[1].id.to_string());
    let two = [("id", one.as_str()), ("id", other.as_str())];
    let asked = visit
        .post(PATH, &[two.as_slice(), &[("wish", "replay")]].concat())
        .await;
    assert!(
        asked.body.contains("2 dead letters: replay?"),
        "{}",
        asked.body
    );
    assert_eq!(disposal(&scene, &letters[0]).await, Disposal::Open);

    let sure = [two.as_slice(), &[("wish", "replay"), ("sure", "yes")]].concat();
    let done = visit.post(PATH, &sure).await;
    assert!(done.body.contains("2 are on their way again"));
    for letter in &letters[..2] {
        let now = disposal(&scene, letter).await;
        assert!(matches!(now, Disposal::Replayed(_)), "{now:?}");
    }
    // Sent twice, as by a reload, it is done once.
    let again = visit.post(PATH, &sure).await.body;
    assert!(again.contains("0 are on their way again"), "{again}");
    assert!(again.contains("was already replayed at"), "{again}");

    let third = letters[2].id.to_string();
    let discard = [("id", third.as_str()), ("wish", "discard"), ("sure", "yes")];
    let no_reason = visit.post(PATH, &discard).await;
    assert_eq!(no_reason.status, StatusCode::UNPROCESSABLE_ENTITY);
    let discard = [discard.as_slice(), &[("note", "a test")]].concat();
    let done = visit.post(PATH, &discard).await;
    assert!(done.body.contains("1 was discarded"), "{}", done.body);
    assert!(matches!(
        disposal(&scene, &letters[2]).await,
        Disposal::Discarded { .. }
    ));
    assert_eq!(disposal(&scene, &letters[3]).await, Disposal::Open);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_ones_own_can_be_chosen_and_no_more_than_a_list_shows() {
    let scene = Scene::begin().await;
    let theirs = with_dead_letters(&scene, "umbra", 1).await.remove(0);
    let id = theirs.id.to_string();
    let mut visit = Visit::of(&scene);
    let key = scene.key(Some("acme"), MANAGE).await;
    visit.sign_in(&key, None).await;
    let sure = [("id", id.as_str()), ("wish", "replay"), ("sure", "yes")];
    let done = visit.post(PATH, &sure).await;
    assert!(done.body.contains("1 is no longer kept"), "{}", done.body);
    assert_eq!(disposal(&scene, &theirs).await, Disposal::Open);

    let none = visit.post(PATH, &[("wish", "replay")]).await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(none.body.contains("no dead letter was chosen"));
    let ids: Vec<_> = (0..51).map(|number| format!("dlt_{number:032x}")).collect();
    let mut many: Vec<_> = ids.iter().map(|id| ("id", id.as_str())).collect();
    many.push(("wish", "discard"));
    let too_many = visit.post(PATH, &many).await;
    assert_eq!(too_many.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(too_many.body.contains("make a replay plan of them"));

    let mut looker = Visit::of(&scene);
    let key = scene.key(Some("umbra"), LOOK).await;
    looker.sign_in(&key, None).await;
    let list = looker.get("/dead-letters/list").await.body;
    assert!(list.contains(&id) && !list.contains("type=\"checkbox\""));
    let refused = looker.post(PATH, &sure).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    scene.end().await;
}
