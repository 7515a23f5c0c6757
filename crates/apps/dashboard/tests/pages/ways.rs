//! The ways of one who was called at night: from an id to its page, from a cause to what to do, and not too fast to what
//! cannot be undone.

use crate::{LOOK, MANAGE, scene::Scene, visit::Visit};
use http::StatusCode;
use ringback_testkit::receiver::Answer;

#[tokio::test(flavor = "multi_thread")]
async fn an_id_leads_to_what_it_names() {
    let scene = Scene::begin().await;
    scene.receiver.script("/failing", [Answer::status(401)]);
    let webhook = scene.webhook("acme", "/failing").await;
    let event = scene.publish("acme", "task.completed").await;
    let letter = scene.dead_letters("acme", 1).await.remove(0);
    let delivery = letter.delivery().unwrap().clone();
    let job = delivery.event.job.id.clone();
    let mut visit = Visit::of(&scene);
    let key = scene.key(Some("acme"), LOOK).await;
    visit.sign_in(&key, None).await;
    for (asked, place) in [
        (webhook.id.to_string(), format!("/webhooks/{}", webhook.id)),
        (
            format!("+{}++", delivery.id),
            format!("/deliveries/{}", delivery.id),
        ),
        (
            letter.id.to_string(),
            format!("/dead-letters/{}", letter.id),
        ),
        ("rpl_1".to_owned(), "/replays/rpl_1".to_owned()),
        (
            "cbk_1".to_owned(),
            "/deliveries?destination=cbk_1".to_owned(),
        ),
        (event.clone(), format!("/deliveries?event={event}")),
        (job.to_string(), format!("/deliveries?job={job}")),
        (
            "whk_%2F..%2F..%2Fsign-out".to_owned(),
            "/dead-letters/list?disposed=yes&q=whk_%2F..%2F..%2Fsign-out".to_owned(),
        ),
        (
            "closed+for+good".to_owned(),
            "/dead-letters/list?disposed=yes&q=closed+for+good".to_owned(),
        ),
        (String::new(), "/".to_owned()),
    ] {
        let answer = visit.get(&format!("/find?q={asked}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{asked}");
        assert_eq!(answer.header("location"), place, "{asked}");
        let page = visit.get(&place).await;
        let is_there = !place.ends_with("rpl_1");
        assert_eq!(page.status == StatusCode::OK, is_there, "{place}");
    }
    // Whether another project has such an event is not told.
    let mut stranger = Visit::of(&scene);
    let key = scene.key(Some("umbra"), LOOK).await;
    stranger.sign_in(&key, None).await;
    let answer = stranger.get(&format!("/find?q={event}")).await;
    let place = format!("/dead-letters/list?disposed=yes&q={event}");
    assert_eq!(answer.header("location"), place);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_and_its_group_say_what_to_do_next() {
    let scene = Scene::begin().await;
    scene.receiver.script("/failing", [Answer::status(401)]);
    scene.webhook("acme", "/failing").await;
    scene.publish("acme", "task.completed").await;
    let letter = scene.dead_letters("acme", 1).await.remove(0);
    let mut visit = Visit::of(&scene);
    let key = scene.key(Some("acme"), MANAGE).await;
    visit.sign_in(&key, None).await;
    let group = format!(
        "/dead-letters/list?project=acme&cause={}",
        letter.cause.fingerprint
    );
    let page = format!("/dead-letters/{}", letter.id);
    for path in [&group, &page] {
        let seen = visit.get(path).await.body;
        assert!(
            seen.contains("Compare the secret with the receiver"),
            "{path}: {seen}"
        );
    }
    // Of one that is dealt with, nothing is to be done.
    let discard = format!("{page}/discard");
    visit.post(&discard, &[("note", "a test")]).await;
    let seen = visit.get(&page).await.body;
    assert!(!seen.contains("Compare the secret"), "{seen}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_is_asked_about_first() {
    let scene = Scene::begin().await;
    let webhook = scene.webhook("acme", "/orders").await;
    let mut visit = Visit::of(&scene);
    let key = scene.key(Some("acme"), MANAGE).await;
    visit.sign_in(&key, None).await;
    let other = scene.key(Some("acme"), LOOK).await;
    let other = other.split('_').nth(1).unwrap();
    let their = scene.key(Some("umbra"), LOOK).await;
    let their = their.split('_').nth(1).unwrap();
    for (page, question) in [
        (format!("/webhooks/{}", webhook.id), "disable"),
        (format!("/webhooks/{}", webhook.id), "delete"),
        ("/settings".to_owned(), &*format!("keys/{other}/revoke")),
    ] {
        let address = format!("{page}/{question}");
        let seen = visit.get(&page).await.body;
        assert!(
            seen.contains(&format!("href=\"{address}\"")),
            "{address}: {seen}"
        );
        assert!(
            !seen.contains(&format!("action=\"{address}\"")),
            "{address}: {seen}"
        );
        let asked = visit.get(&address).await;
        assert_eq!(asked.status, StatusCode::OK, "{address}");
        assert!(asked.body.contains(&format!("action=\"{address}\"")));
    }
    let revoke = format!("/settings/keys/{their}/revoke");
    assert_eq!(visit.get(&revoke).await.status, StatusCode::NOT_FOUND);
    let disable = format!("/webhooks/{}/disable", webhook.id);
    visit.post(&disable, &[]).await;
    let webhooks = visit.get("/webhooks?state=disabled").await.body;
    assert!(webhooks.contains(webhook.id.as_str()), "{webhooks}");

    let mut looker = Visit::of(&scene);
    let key = scene.key(Some("acme"), LOOK).await;
    looker.sign_in(&key, None).await;
    assert_eq!(looker.get(&disable).await.status, StatusCode::FORBIDDEN);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_chose_a_project_stays_with_it() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    visit.sign_in(&scene.key(None, LOOK).await, None).await;
    let chosen = visit.get("/?project=acme").await.body;
    for place in ["/webhooks", "/deliveries", "/dead-letters", "/replays"] {
        let link = format!("href=\"{place}?project=acme\"");
        assert!(chosen.contains(&link), "{link}: {chosen}");
    }
    let all = visit.get("/").await.body;
    assert!(all.contains("href=\"/webhooks\""), "{all}");
    let settings = visit.get("/settings?project=acme").await.body;
    assert!(settings.contains("Project acme") && !settings.contains("Project umbra"));
    let open = "1<span class=\"unseen\"> open</span>";
    assert!(!all.contains(open));

    // Each row says whose it is.
    scene.receiver.script("/failing", [Answer::status(500)]);
    scene.webhook("umbra", "/failing").await;
    scene.publish("umbra", "task.completed").await;
    scene.dead_letters("umbra", 1).await;
    for place in ["/webhooks", "/deliveries", "/dead-letters/list"] {
        let seen = visit.get(place).await.body;
        assert!(
            seen.contains("<span class=\"under\">umbra</span>"),
            "{place}: {seen}"
        );
    }
    // The menu counts what there is to look at.
    assert!(visit.get("/settings").await.body.contains(open));
    assert!(
        !visit
            .get("/webhooks?project=acme")
            .await
            .body
            .contains(open)
    );
    scene.end().await;
}
