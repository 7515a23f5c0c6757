//! A whole group of dead letters, discarded by a form.

use crate::{MANAGE, scene::Scene, visit::Visit};
use http::StatusCode;
use ringback_testkit::receiver::Answer;

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_discarded_by_one_who_says_why_and_is_sure() {
    let scene = Scene::begin().await;
    scene.receiver.script("/failing", [Answer::status(500)]);
    scene.webhook("acme", "/failing").await;
    scene.webhook("umbra", "/failing").await;
    for project in ["acme", "acme", "umbra"] {
        scene.publish(project, "task.completed").await;
    }
    let letter = scene.dead_letters("acme", 2).await.remove(0);
    let theirs = scene.dead_letters("umbra", 1).await.remove(0);
    let cause = letter.cause.fingerprint.as_str();
    let group = format!("/dead-letters/list?project=acme&cause={cause}");
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;
    let page = visit.get(&group).await.body;
    assert!(
        page.contains("Yes, discard all 2 that are open now"),
        "{page}"
    );
    let until = hidden(&page, "until");

    let address = "/dead-letters/discard";
    let form = [
        ("cause", cause),
        ("until", &until),
        ("why", "a <b>test</b>"),
        ("sure", "yes"),
    ];
    for missing in ["cause", "until", "why", "sure"] {
        let fields: Vec<_> = form
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .collect();
        let refused = visit.post(address, &fields).await;
        assert_eq!(
            refused.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{missing}"
        );
    }
    let of_others = [
        ("cause", theirs.cause.fingerprint.as_str()),
        ("until", &until),
        ("why", "none of my business"),
        ("sure", "yes"),
    ];
    let nothing = visit.post(address, &of_others).await;
    assert!(nothing.header("location").ends_with("&discarded=0"));
    assert_eq!(scene.dead_letters("umbra", 1).await.len(), 1);

    // One more joins while somebody thinks.
    scene.publish("acme", "task.completed").await;
    scene.dead_letters("acme", 3).await;
    let done = visit.post(address, &form).await;
    let after = done.header("location").to_owned();
    assert_eq!(after, format!("{group}&discarded=2"));
    let page = visit.get(&after).await.body;
    assert!(page.contains("2 discarded. They are kept"), "{page}");
    assert!(
        page.contains("Yes, discard all 1 that are open now"),
        "{page}"
    );
    assert!(!page.contains("discarded=2"), "it is told once: {page}");
    let shown = visit
        .get(&format!("/dead-letters/{}", letter.id))
        .await
        .body;
    assert!(shown.contains("a &lt;b&gt;test&lt;/b&gt; (key "), "{shown}");

    // More than one step takes: the form is there again, with what was said.
    let begun = format!("{group}&discarded=10000&until={until}&because=a+test");
    let page = visit.get(&begun).await.body;
    assert!(page.contains("go on below with the rest"), "{page}");
    assert!(page.contains("value=\"a test\"") && hidden(&page, "until") == until);
    scene.end().await;
}

/// The value of a hidden field.
fn hidden(page: &str, name: &str) -> String {
    let (_, rest) = page
        .split_once(&format!("type=\"hidden\" name=\"{name}\" value=\""))
        .expect("the field is there");
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_advises_what_was_not_asked_for_and_plans_nothing() {
    const ADVICE: &str = "are shown when you ask for them";
    const PLAN: &str = "Plan a replay of these";
    let scene = Scene::begin().await;
    scene.receiver.script("/failing", [Answer::status(500)]);
    scene.webhook("acme", "/failing").await;
    scene.publish("acme", "task.completed").await;
    scene.dead_letters("acme", 1).await;
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;
    for (query, is_advised, is_planned) in [
        ("", false, true),
        ("q=zzz", true, false),
        ("disposed=yes&q=zzz", false, false),
        ("disposed=yes", false, true),
    ] {
        let page = visit.get(&format!("/dead-letters/list?{query}")).await.body;
        assert_eq!(page.contains(ADVICE), is_advised, "{query}: {page}");
        assert_eq!(page.contains(PLAN), is_planned, "{query}: {page}");
    }
    scene.end().await;
}
