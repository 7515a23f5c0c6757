//! The pages without a browser: who sees what, what is refused, and what the browser is told.
#![expect(
    clippy::unwrap_used,
    reason = "panicking is how tests fail, also in what they share"
)]

mod chosen;
mod cookie;
mod discards;
#[path = "../scene/mod.rs"]
mod scene;
mod trouble;
mod visit;
mod ways;

use http::{StatusCode, header};
use ringback_domain::{KeyScope, limits};
use ringback_testkit::receiver::Answer;
use scene::Scene;
use visit::Visit;

const LOOK: &[KeyScope] = &[KeyScope::Read];
const MANAGE: &[KeyScope] = &[KeyScope::Read, KeyScope::Manage];

/// Every page that needs no id.
const PAGES: [&str; 9] = [
    "/",
    "/webhooks",
    "/deliveries",
    "/dead-letters",
    "/dead-letters/list",
    "/replays",
    "/settings",
    "/webhooks/new",
    "/replays/new",
];

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_anything_before_signing_in() {
    let scene = Scene::begin().await;
    let mut stranger = Visit::of(&scene);
    for page in PAGES {
        let answer = stranger.get(page).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{page}");
        let to = answer.header("location");
        assert!(to.starts_with("/sign-in?next=%2F"), "{page}: {to}");
    }

    let key = scene.key(Some("acme"), LOOK).await;
    let signed_in = stranger
        .sign_in(&key, Some("/deliveries?state=waiting"))
        .await;
    assert_eq!(signed_in.header("location"), "/deliveries?state=waiting");
    for page in &PAGES[..7] {
        let answer = stranger.get(page).await;
        assert_eq!(answer.status, StatusCode::OK, "{page}: {}", answer.body);
    }

    let signed_out = stranger.post("/sign-out", &[]).await;
    assert!(signed_out.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(stranger.get("/").await.status, StatusCode::SEE_OTHER);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_fit_is_told_why_and_slowed_down() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    let publish = scene.key(Some("acme"), &[KeyScope::Publish]).await;
    let refused = visit.sign_in(&publish, None).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.body.contains("scope `read`"), "{}", refused.body);

    let mut last = StatusCode::OK;
    for _ in 0..=ringback_api::auth::FAILURES_MAX {
        let answer = visit.sign_in("rb_0a1b_wrong", None).await;
        assert!(answer.header_maybe("location").is_none());
        last = answer.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_key_and_another_process_knows_it() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    let key = scene.key(Some("acme"), LOOK).await;
    visit.sign_in(&key, None).await;

    let pages =
        ringback_dashboard::router(scene.services.clone(), ringback_dashboard::Hosts::default());
    let mut elsewhere = visit.at(pages);
    assert_eq!(elsewhere.get("/").await.status, StatusCode::OK);

    let id = key.split('_').nth(1).unwrap().parse().unwrap();
    scene.services.keys.revoke(&id).await.unwrap();
    assert_eq!(visit.get("/").await.status, StatusCode::SEE_OTHER);
    assert_eq!(elsewhere.get("/").await.status, StatusCode::SEE_OTHER);
    let form = visit.post("/webhooks/whk_x/disable", &[]).await;
    assert_eq!(form.header("location"), "/sign-in?next=%2F");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_another_project_is_not_there() {
    let scene = Scene::begin().await;
    scene.receiver.script("/theirs", [Answer::status(500)]);
    let theirs = scene.webhook("umbra", "/theirs").await;
    scene.publish("umbra", "task.completed").await;
    let letter = scene.dead_letters("umbra", 1).await.remove(0);
    let delivery = letter.delivery().unwrap().id.clone();
    let their_key = scene.key(Some("umbra"), MANAGE).await;
    let their_key = their_key.split('_').nth(1).unwrap();

    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;
    for path in [
        format!("/webhooks/{}", theirs.id),
        format!("/webhooks/{}/edit", theirs.id),
        format!("/webhooks/{}/delete", theirs.id),
        format!("/webhooks/{}/rotate-secret", theirs.id),
        format!("/deliveries/{delivery}"),
        format!("/dead-letters/{}", letter.id),
        format!("/dead-letters/{}?show=content", letter.id),
        "/webhooks?project=umbra".to_owned(),
        "/deliveries?project=umbra".to_owned(),
        "/dead-letters?project=umbra".to_owned(),
        "/dead-letters/list?project=umbra".to_owned(),
        "/replays?project=umbra".to_owned(),
        "/?project=umbra".to_owned(),
    ] {
        let answer = visit.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.body.contains("/theirs"), "{path}");
    }
    for path in [
        format!("/webhooks/{}/test", theirs.id),
        format!("/webhooks/{}/edit", theirs.id),
        format!("/webhooks/{}/enable", theirs.id),
        format!("/webhooks/{}/disable", theirs.id),
        format!("/webhooks/{}/delete", theirs.id),
        format!("/webhooks/{}/rotate-secret", theirs.id),
        format!("/dead-letters/{}/replay", letter.id),
        format!("/dead-letters/{}/discard", letter.id),
        format!("/settings/keys/{their_key}/revoke"),
    ] {
        let answer = visit
            .post(&path, &[("note", "mine"), ("url", "https://example.com/")])
            .await;
        assert_eq!(
            answer.status,
            StatusCode::NOT_FOUND,
            "{path}: {}",
            answer.body
        );
    }
    for list in [
        "/deliveries",
        "/dead-letters",
        "/dead-letters/list",
        "/webhooks",
        "/settings",
        "/",
    ] {
        let answer = visit.get(list).await;
        assert!(
            !answer.body.contains("/theirs") && !answer.body.contains("umbra"),
            "{list}"
        );
    }
    let kept = scene
        .services
        .context
        .store
        .webhook(&theirs.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(kept, theirs);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_who_may_only_look_sees_no_buttons_and_is_refused() {
    let scene = Scene::begin().await;
    scene.receiver.script("/failing", [Answer::status(500)]);
    let webhook = scene.webhook("acme", "/failing").await;
    scene.publish("acme", "task.completed").await;
    let letter = scene.dead_letters("acme", 1).await.remove(0);
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), LOOK).await, None)
        .await;

    let cause = &letter.cause.fingerprint;
    for path in [
        "/".to_owned(),
        "/webhooks".to_owned(),
        format!("/webhooks/{}", webhook.id),
        "/dead-letters".to_owned(),
        format!("/dead-letters/list?project=acme&cause={cause}"),
        format!("/dead-letters/{}?show=content", letter.id),
        "/settings".to_owned(),
    ] {
        let answer = visit.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        let forms: Vec<_> = answer.body.match_indices("method=\"post\"").collect();
        assert_eq!(forms.len(), 1, "{path}: only the one to sign out");
        assert!(!answer.body.contains("between us"), "{path}");
    }
    assert_eq!(
        visit.get("/webhooks/new").await.status,
        StatusCode::FORBIDDEN
    );
    for path in [
        "/webhooks".to_owned(),
        format!("/webhooks/{}/test", webhook.id),
        format!("/webhooks/{}/delete", webhook.id),
        format!("/webhooks/{}/rotate-secret", webhook.id),
        format!("/dead-letters/{}/replay", letter.id),
        format!("/dead-letters/{}/discard", letter.id),
        "/dead-letters/acknowledge".to_owned(),
        "/dead-letters/discard".to_owned(),
        "/settings/keys".to_owned(),
    ] {
        let answer = visit.post(&path, &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        assert!(
            answer.body.contains("scope `manage`"),
            "{path}: {}",
            answer.body
        );
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_does_not_come_from_our_page_changes_nothing() {
    let scene = Scene::begin().await;
    let webhook = scene.webhook("acme", "/mine").await;
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;
    let mut other = Visit::of(&scene);
    other
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;
    let path = format!("/webhooks/{}/delete", webhook.id);
    let token = visit.token().await;

    let without = visit.send("POST", &path, &[], "").await;
    let foreign = visit
        .send(
            "POST",
            &path,
            &[],
            &format!("form_token={}", other.token().await),
        )
        .await;
    let own = format!("form_token={token}");
    let cross_site = visit
        .send("POST", &path, &[("sec-fetch-site", "cross-site")], &own)
        .await;
    let elsewhere = visit
        .send("POST", &path, &[("origin", "https://evil.example")], &own)
        .await;
    let text = visit
        .send("POST", &path, &[("content-type", "text/plain")], &own)
        .await;
    let long = format!("{own}&more={}", "x".repeat(65 * 1024));
    let long = visit.send("POST", &path, &[], &long).await;
    let nobody = Visit::of(&scene).send("POST", &path, &[], &own).await;
    let statuses = [without, foreign, cross_site, elsewhere, text, long, nobody]
        .map(|answer| answer.status.as_u16());
    assert_eq!(statuses, [403, 403, 403, 403, 415, 413, 403]);
    assert!(
        scene
            .services
            .context
            .store
            .webhook(&webhook.id)
            .await
            .unwrap()
            .is_some()
    );

    let ours = visit
        .send(
            "POST",
            &path,
            &[("sec-fetch-site", "same-origin"), ("origin", "null")],
            &own,
        )
        .await;
    assert_eq!(ours.status, StatusCode::SEE_OTHER);
    assert!(
        scene
            .services
            .context
            .store
            .webhook(&webhook.id)
            .await
            .unwrap()
            .is_none()
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_ours_is_refused_even_with_a_session() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), LOOK).await, None)
        .await;
    for host in ["evil.example", "localhost.evil.example:8080", ""] {
        let answer = visit.send("GET", "/", &[("host", host)], "").await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        assert!(!answer.body.contains("acme"), "{host}");
    }
    let ours = visit
        .send("GET", "/", &[("host", "localhost:8080")], "")
        .await;
    assert_eq!(ours.status, StatusCode::OK);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_browser_is_told_to_run_and_load_nothing_of_others() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    let page = visit.get("/sign-in").await;
    assert_eq!(
        page.header("content-security-policy"),
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    );
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(
        !page.body.contains(" style=")
            && !page.body.contains("<style")
            && !page.body.contains("<script>")
    );

    let assets: Vec<_> = page
        .body
        .split('"')
        .filter(|part| part.starts_with("/assets/"))
        .collect();
    assert_eq!(
        assets.len(),
        4,
        "style, script, and the icon twice: {assets:?}"
    );
    for asset in assets {
        let answer = visit.get(asset).await;
        assert_eq!(answer.status, StatusCode::OK, "{asset}");
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        assert!(answer.header_maybe("content-security-policy").is_some());
    }
    assert_eq!(
        visit.get("/assets/dashboard-0.css").await.status,
        StatusCode::NOT_FOUND
    );

    let cookie = Visit::of(&scene)
        .get("/sign-in")
        .await
        .header("set-cookie")
        .to_owned();
    assert!(
        cookie.contains("HttpOnly; SameSite=Lax") && !cookie.contains("Secure"),
        "{cookie}"
    );
    assert!(cookie.starts_with("ringback_session="), "{cookie}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_changed_rotated_and_deleted_by_forms() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;

    let faulty = visit
        .post(
            "/webhooks",
            &[
                ("url", "ftp://user@example.com"),
                ("events", "a b"),
                ("rate_limit", "-1"),
                ("headers", "x"),
            ],
        )
        .await;
    assert_eq!(faulty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        faulty.body.matches("class=\"fault\"").count(),
        3,
        "{}",
        faulty.body
    );
    assert!(
        faulty.body.contains("ftp://user@example.com"),
        "what was written stays"
    );

    let forbidden = visit
        .post("/webhooks", &[("url", "http://10.0.0.1/")])
        .await;
    assert_eq!(forbidden.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        forbidden.body.contains("id=\"field-url-fault\""),
        "{}",
        forbidden.body
    );

    let url = scene.receiver.url("/hook?token=hidden");
    let made = visit
        .post(
            "/webhooks",
            &[
                ("url", &url),
                ("events", "task.completed\ntask.failed"),
                ("headers", "X-Key: 7"),
                ("description", "<b>Bills</b>"),
            ],
        )
        .await;
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    assert!(made.body.contains("whsec_") && made.body.contains("not shown again"));
    assert!(made.body.contains("&lt;b&gt;Bills&lt;/b&gt;"));
    assert!(!made.body.contains("token=hidden") && !made.body.contains("X-Key: 7"));
    let project = "acme".parse().unwrap();
    let webhook = scene
        .services
        .context
        .store
        .webhooks(&project)
        .await
        .unwrap()
        .entries
        .remove(0);
    let path = format!("/webhooks/{}", webhook.id);
    assert!(!visit.get(&path).await.body.contains("whsec_"));

    let tested = visit.post(&format!("{path}/test"), &[]).await;
    assert!(
        tested.body.contains("What came back") && tested.body.contains("200"),
        "{}",
        tested.body
    );

    let edit = format!("{path}/edit");
    assert!(
        visit
            .get(&edit)
            .await
            .body
            .contains("name=\"revision\" value=\"1\"")
    );
    let partly = [("revision", "1"), ("description", "Bills")];
    let changed = visit.post(&edit, &partly).await;
    assert_eq!(changed.header("location"), format!("{path}?done=changed"));
    let late = visit.post(&edit, &partly).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(
        late.body.contains("Somebody else was faster"),
        "{}",
        late.body
    );
    let blind = visit.post(&edit, &partly[1..]).await;
    assert_eq!(blind.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(blind.body.contains("revision"), "{}", blind.body);
    let now = scene
        .services
        .context
        .store
        .webhook(&webhook.id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(now.description.as_deref(), Some("Bills"));
    assert_eq!(
        (now.url, now.headers, now.events),
        (webhook.url, webhook.headers, webhook.events),
        "what was left empty or out stays"
    );

    let rotated = visit
        .post(&format!("{path}/rotate-secret"), &[("overlap", "24h")])
        .await;
    assert!(
        rotated.body.contains("whsec_") && rotated.body.contains("beside the new one until"),
        "{}",
        rotated.body
    );
    visit.post(&format!("{path}/disable"), &[]).await;
    assert!(visit.get(&path).await.body.contains("disabled"));
    visit.post(&format!("{path}/enable"), &[]).await;
    assert_eq!(
        visit
            .post(&format!("{path}/delete"), &[])
            .await
            .header("location"),
        "/webhooks"
    );
    assert_eq!(visit.get(&path).await.status, StatusCode::NOT_FOUND);
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_letter_holds_is_shown_only_when_asked_for() {
    let scene = Scene::begin().await;
    scene.receiver.script(
        "/failing",
        [Answer::status(500).with_body("<script>alert(1)</script>\u{202e}")],
    );
    scene.webhook("acme", "/failing").await;
    scene.publish("acme", "task.completed").await;
    let letter = scene.dead_letters("acme", 1).await.remove(0);
    let path = format!("/dead-letters/{}", letter.id);
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;

    let page = visit.get(&path).await;
    assert!(!page.body.contains("between us"));
    assert!(
        page.body
            .contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}"),
        "{}",
        page.body
    );
    assert!(
        visit
            .get(&format!("{path}?show=content"))
            .await
            .body
            .contains("between us")
    );

    let without = visit.post(&format!("{path}/discard"), &[]).await;
    assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY);
    let long = "x".repeat(limits::NOTE_CHARS_MAX + 1);
    let long = visit
        .post(&format!("{path}/discard"), &[("note", &long)])
        .await;
    assert_eq!(long.status, StatusCode::UNPROCESSABLE_ENTITY);
    visit
        .post(&format!("{path}/discard"), &[("note", "a test")])
        .await;
    let page = visit.get(&path).await.body;
    assert!(
        page.contains("a test") && page.contains("Replay it once more"),
        "{page}"
    );
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_filter_or_an_id_is_told_and_breaks_nothing() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    visit.sign_in(&scene.key(None, MANAGE).await, None).await;
    for path in [
        "/deliveries?event=a.b",
        "/deliveries?destination=%00",
        "/dead-letters/list?job=%C3%A9",
        "/dead-letters/list?type=a+b",
    ] {
        let answer = visit.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.body.contains("is not accepted"), "{path}");
    }
    let long = format!("/dead-letters?q={}", "x".repeat(201));
    for (path, problem) in [
        ("/deliveries?state=lost", "is none of attempting"),
        ("/deliveries?within=2h", "is none of 1h"),
        ("/dead-letters/list?reason=fate", "is no reason"),
        ("/dead-letters/list?within=2h", "is none of 1h"),
        ("/dead-letters?order=age", "is none of count"),
        (&long, "1 to 200 characters"),
    ] {
        let answer = visit.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert!(answer.body.contains(problem), "{path}: {}", answer.body);
    }
    let cursor = visit.get("/deliveries?cursor=nonsense").await;
    assert_eq!(cursor.status, StatusCode::UNPROCESSABLE_ENTITY);
    for path in [
        "/webhooks/%3Cb%3E",
        "/deliveries/dlv_nothing",
        "/dead-letters/x",
        "/webhooks?project=UPPER",
    ] {
        assert_eq!(
            visit.get(path).await.status,
            StatusCode::NOT_FOUND,
            "{path}"
        );
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_shown_a_page_where_there_is_none_and_a_program_is_told() {
    const BROWSER: &[(&str, &str)] = &[("accept", "text/html,*/*;q=0.8")];
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    visit.sign_in(&scene.key(None, MANAGE).await, None).await;
    for (path, status) in [
        ("/nope", StatusCode::NOT_FOUND),
        ("/settings/", StatusCode::NOT_FOUND),
        ("/webhooks/%ff", StatusCode::NOT_FOUND),
        ("/webhooks/whk_x/enable", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let page = visit.send("GET", path, BROWSER, "").await;
        assert_eq!(page.status, status, "{path}");
        assert!(
            page.body.contains("There is no page at this address"),
            "{path}: {}",
            page.body
        );
        assert!(page.header_maybe("content-security-policy").is_some());
    }
    for (path, headers) in [("/nope", &[][..]), ("/api/v1/nope", BROWSER)] {
        let told = visit.send("GET", path, headers, "").await;
        assert_eq!(told.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(told.header("content-type"), "application/problem+json");
    }
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_made_and_revoked_and_its_owner_is_the_visitors() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;
    let none = visit
        .post("/settings/keys", &[("description", "nothing")])
        .await;
    assert_eq!(none.status, StatusCode::UNPROCESSABLE_ENTITY);
    let made = visit
        .post(
            "/settings/keys",
            &[
                ("scope", "read"),
                ("scope", "publish"),
                ("project", "umbra"),
                ("lives", "30d"),
            ],
        )
        .await;
    let text = made
        .body
        .split("id=\"secret\">")
        .nth(1)
        .unwrap()
        .split('<')
        .next()
        .unwrap();
    let key = scene.services.keys.verify(text).await.unwrap();
    assert_eq!(key.owner.project().unwrap().as_str(), "acme");
    assert!(key.expires_at.is_some());
    let revoked = visit
        .post(&format!("/settings/keys/{}/revoke", key.id), &[])
        .await;
    assert_eq!(revoked.header(header::LOCATION.as_str()), "/settings");
    assert!(scene.services.keys.verify(text).await.is_err());
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_name_the_projects_webhook_urls_or_how_to_set_one() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;
    let before = visit.get("/settings").await.body;
    assert!(before.contains("/webhooks/new?project=acme"), "{before}");

    let mine = scene.webhook("acme", "/mine").await;
    let theirs = scene.webhook("umbra", "/theirs").await;
    let after = visit.get("/settings").await.body;
    assert!(after.contains("/mine") && after.contains(mine.id.as_str()));
    assert!(!after.contains(theirs.id.as_str()));
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_for_a_project_is_begun_from_its_groups_where_there_are_any() {
    let scene = Scene::begin().await;
    scene.receiver.script("/failing", [Answer::status(500)]);
    scene.webhook("acme", "/failing").await;
    let mut visit = Visit::of(&scene);
    visit.sign_in(&scene.key(None, MANAGE).await, None).await;
    let page = "/dead-letters?project=acme";
    let none = visit.get(page).await.body;
    assert!(!none.contains("/replays/new"), "{none}");
    scene.publish("acme", "task.completed").await;
    scene.dead_letters("acme", 1).await;
    let groups = visit.get(page).await.body;
    assert!(groups.contains("/replays/new?project=acme"), "{groups}");
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_made_by_a_form_and_belongs_to_its_project() {
    let scene = Scene::begin().await;
    scene.receiver.script("/failing", [Answer::status(500)]);
    scene.webhook("acme", "/failing").await;
    let theirs = scene.webhook("umbra", "/theirs").await;
    scene.publish("acme", "task.completed").await;
    scene.dead_letters("acme", 1).await;
    let mut visit = Visit::of(&scene);
    visit
        .sign_in(&scene.key(Some("acme"), MANAGE).await, None)
        .await;

    let their_id = theirs.id.to_string();
    for (fields, problem) in [
        (&[("why", "")][..], "needs a reason"),
        (&[("why", "x"), ("rate", "-1")], "not a whole number"),
        (&[("why", "x"), ("reason", "fate")], "is no reason"),
        (&[("why", "x"), ("within", "2h")], "is none of 1h"),
        (&[("why", "x"), ("stop_share", "101")], "out of range"),
        (
            &[("why", "x"), ("target", &their_id)],
            "there is no webhook",
        ),
        (
            &[("why", "x"), ("type", "task.failed")],
            "no open dead letter matches",
        ),
    ] {
        let faulty = visit.post("/replays", fields).await;
        assert_eq!(faulty.status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        assert!(faulty.body.contains(problem), "{problem}: {}", faulty.body);
        assert!(!faulty.body.contains("umbra"), "{problem}");
    }
    let fields = [
        ("why", "<i>repaired</i>"),
        ("rate", "5"),
        ("target", "current"),
    ];
    let made = visit.post("/replays", &fields).await;
    let path = made.header("location").to_owned();
    let page = visit.get(&path).await.body;
    assert!(page.contains("Nothing was sent yet") && page.contains("&lt;i&gt;repaired&lt;/i&gt;"));
    let causes = "href=\"/dead-letters/list?project=acme&amp;cause=";
    assert!(
        page.contains(causes),
        "each cause leads to its list: {page}"
    );
    let moved = visit.post(&format!("{path}/pause"), &[]).await;
    assert_eq!(moved.header("location"), format!("{path}?done=moved"));
    assert_eq!(
        visit.post(&format!("{path}/burn"), &[]).await.status,
        StatusCode::NOT_FOUND
    );

    let mut others = Visit::of(&scene);
    others
        .sign_in(&scene.key(Some("umbra"), MANAGE).await, None)
        .await;
    assert_eq!(others.get(&path).await.status, StatusCode::NOT_FOUND);
    let started = others.post(&format!("{path}/start"), &[]).await;
    assert_eq!(started.status, StatusCode::NOT_FOUND);
    let mut looker = Visit::of(&scene);
    looker
        .sign_in(&scene.key(Some("acme"), LOOK).await, None)
        .await;
    assert!(!looker.get(&path).await.body.contains("/start"));
    let started = looker.post(&format!("{path}/start"), &[]).await;
    assert_eq!(started.status, StatusCode::FORBIDDEN);

    let cancelled = visit.post(&format!("{path}/cancel"), &[]).await;
    assert_eq!(cancelled.header("location"), path);
    assert!(visit.get(&path).await.body.contains("stay dead letters"));
    scene.end().await;
}
