//! The dashboard in a real Chromium.
#![expect(
    clippy::unwrap_used,
    reason = "panicking is how tests fail, also in what they share"
)]

mod busy;
mod driver;
#[path = "../scene/mod.rs"]
mod scene;
mod script;

use busy::Busy;
use driver::{Browser, DESKTOP, ENTER, PHONE, Screen, TAB};
use ringback_api::Server;
use ringback_domain::{KeyScope, limits};
use ringback_testkit::receiver::Answer;
use ringback_worker::webhooks::NewWebhook;
use scene::Scene;
use std::collections::BTreeSet;

const MANAGE: &[KeyScope] = &[KeyScope::Read, KeyScope::Manage];

/// The scene behind a real socket.
struct Stage {
    scene: Scene,
    server: Server,
    address: String,
}

impl Stage {
    async fn begin() -> Self {
        let scene = Scene::begin().await;
        let services = scene.services.clone();
        let listen = ([127, 0, 0, 1], 0).into();
        let server = Server::start(
            listen,
            scene.router.clone(),
            services.limits,
            services.stop.clone(),
        )
        .unwrap();
        let address = format!("http://{}", server.address());
        Self {
            scene,
            server,
            address,
        }
    }

    async fn end(self) {
        self.server.stop().await;
        self.scene.end().await;
    }
}

/// What a stranger might answer with to act on the page that shows it.
const HOSTILE: &str = "<script>document.title='owned'; alert(1)</script><img src=x onerror=\"document.title='owned'\">\
     \u{202e}reversed\u{202c} \u{1b}[31mred\u{7} \"'><svg onload=alert(2)>";

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers_are_shown_and_do_nothing() {
    let stage = Stage::begin().await;
    let scene = &stage.scene;
    scene
        .receiver
        .script("/hostile", [Answer::status(500).with_body(HOSTILE)]);
    let webhook = scene.webhook("acme", "/hostile").await;
    scene.publish("acme", "task.completed").await;
    let letter = scene.dead_letters("acme", 1).await.remove(0);
    let delivery = letter.delivery().unwrap().id.clone();

    let browser = Browser::start().await;
    browser
        .sign_in(&stage.address, &scene.key(Some("acme"), MANAGE).await)
        .await;
    let cause = &letter.cause.fingerprint;
    for path in [
        "/".to_owned(),
        "/dead-letters".to_owned(),
        format!("/dead-letters/list?project=acme&cause={cause}"),
        format!("/dead-letters/{}", letter.id),
        format!("/dead-letters/{}?show=content", letter.id),
        format!("/deliveries/{delivery}"),
        format!("/webhooks/{}", webhook.id),
    ] {
        browser.go(&format!("{}{path}", stage.address)).await;
        let title = browser.ask("return document.title").await;
        assert!(
            title.as_str().unwrap().ends_with("· Ringback"),
            "{path}: {title}"
        );
        assert_eq!(browser.dialog().await, None, "{path}");
        let strange = browser.ask("return document.querySelectorAll('main script, main svg[onload], main img').length").await;
        assert_eq!(strange, 0, "{path}");
    }
    browser
        .go(&format!("{}/deliveries/{delivery}", stage.address))
        .await;
    let text = browser.text().await;
    for shown in [
        "<script>document.title='owned'; alert(1)</script>",
        "\\u{202e}reversed",
        "\\u{1b}[31mred\\u{7}",
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_in_by_keyboard_and_all_else_works_without_a_script() {
    let stage = Stage::begin().await;
    let scene = &stage.scene;
    scene.receiver.script(
        "/failing",
        [Answer::status(503).with_body("maintenance until ten o'clock")],
    );
    let webhook = scene.webhook("acme", "/failing").await;
    scene.publish("acme", "task.completed").await;
    let letter = scene.dead_letters("acme", 1).await.remove(0);
    let delivery = letter.delivery().unwrap().id.clone();
    let key = scene.key(Some("acme"), MANAGE).await;

    let browser = Browser::start().await;
    let screen = Screen {
        has_script: false,
        ..DESKTOP
    };
    browser.show_as(screen).await;
    browser
        .go(&format!("{}/deliveries/{delivery}", stage.address))
        .await;
    // The way to skip the menu, the field, the button.
    browser.press(TAB).await;
    let focused = browser
        .ask("return document.activeElement.textContent")
        .await;
    assert_eq!(focused, "Skip to the content");
    browser.press(TAB).await;
    browser.press(&key).await;
    browser.press(TAB).await;
    browser.press(ENTER).await;
    browser.see("maintenance until ten o'clock").await;
    // There is no button that would need a script.
    assert!(!browser.text().await.contains("Copy"));

    browser
        .go(&format!("{}/webhooks/{}", stage.address, webhook.id))
        .await;
    browser.click("Send a test event").await;
    browser.see("What came back of the test event").await;
    browser.click("Disable").await;
    browser.click("Disable it").await;
    browser.see("Disabled. What is under way").await;
    browser
        .go(&format!("{}/dead-letters/{}", stage.address, letter.id))
        .await;
    browser.click("Leave it: discard").await;
    browser.write("Why", "the job was a test").await;
    browser.click("Discard it").await;
    browser.see("the job was a test").await;
    browser.click("Sign out").await;
    browser.see("A key shows what its project has").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_can_read_and_use_every_page_of_a_busy_project_on_every_screen() {
    let stage = Stage::begin().await;
    let scene = &stage.scene;
    let Busy {
        webhook,
        letter,
        plan,
    } = busy::happen(scene).await;
    let delivery = letter.delivery().unwrap().id.clone();
    let cause = &letter.cause.fingerprint;
    let group = format!("/dead-letters/list?project=acme&cause={cause}");
    let letter = format!("/dead-letters/{}", letter.id);

    let browser = Browser::start().await;
    let door = [("sign-in", "/sign-in?next=%2F".to_owned())];
    let mut barriers = look_at(&stage, &browser, &door).await;
    browser
        .sign_in(&stage.address, &scene.key(Some("acme"), MANAGE).await)
        .await;
    let pages = [
        ("overview", "/".to_owned()),
        ("webhooks", "/webhooks".to_owned()),
        ("webhook", format!("/webhooks/{}", webhook.id)),
        ("new-webhook", "/webhooks/new".to_owned()),
        ("edit-webhook", format!("/webhooks/{}/edit", webhook.id)),
        ("rotate", format!("/webhooks/{}/rotate-secret", webhook.id)),
        ("delete", format!("/webhooks/{}/delete", webhook.id)),
        ("webhooks-none", "/webhooks?q=nowhere".to_owned()),
        ("deliveries", "/deliveries".to_owned()),
        ("deliveries-faulty", "/deliveries?state=lost".to_owned()),
        ("delivery", format!("/deliveries/{delivery}")),
        ("groups", "/dead-letters".to_owned()),
        ("groups-none", "/dead-letters?q=nowhere".to_owned()),
        ("group", group.clone()),
        (
            "group-begun",
            format!("{group}&discarded=9&until=x&because=x"),
        ),
        ("dead-letter", letter.clone()),
        (
            "dead-letter-whole",
            format!("{letter}?show=content&done=replayed"),
        ),
        ("replays", "/replays".to_owned()),
        ("new-replay", format!("/replays/new?cause={cause}")),
        ("replay", format!("/replays/{plan}")),
        ("settings", "/settings".to_owned()),
        (
            "nowhere",
            "/webhooks/whk_00000000000000000000000000000000".to_owned(),
        ),
    ];
    barriers.extend(look_at(&stage, &browser, &pages).await);
    browser
        .sign_in(&stage.address, &scene.key(None, MANAGE).await)
        .await;
    let operators = [
        ("overview-operator", "/".to_owned()),
        ("groups-operator", "/dead-letters".to_owned()),
        ("settings-operator", "/settings".to_owned()),
    ];
    barriers.extend(look_at(&stage, &browser, &operators).await);
    assert!(barriers.is_empty(), "{}", barriers.join("\n"));
    let complaints = browser.complaints().await;
    let complaints: Vec<_> = complaints
        .iter()
        // The page that is not there says so to the browser, too.
        .filter(|complaint| !complaint.contains("404 (Not Found)"))
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_names_and_hundreds_of_webhooks_fit_on_every_screen() {
    let stage = Stage::begin().await;
    let scene = &stage.scene;
    for number in 0..300 {
        scene.webhook("umbra", &format!("/customer-{number}")).await;
    }
    let path = format!("/{}", "x".repeat(1_900));
    let mut new = NewWebhook {
        project: "acme".parse().unwrap(),
        url: scene.receiver.url(&path),
        events: BTreeSet::new(),
        profile: None,
        secret: None,
        headers: Vec::new(),
        description: Some("d".repeat(limits::DESCRIPTION_CHARS_MAX)),
        rate_limit: None,
    };
    let long = scene.services.webhooks.add(new.clone()).await.unwrap();
    new.events = (0..40)
        .map(|number| format!("{}.{number}", "e".repeat(120)).parse().unwrap())
        .collect();
    scene.services.webhooks.add(new).await.unwrap();
    scene
        .receiver
        .script(&path, [Answer::status(503).with_body("a".repeat(2_000))]);
    let (event_type, job) = ("t".repeat(128), "j".repeat(256));
    let event = format!(
        r#"{{"id":"{}","project":"acme","type":"{event_type}","occurred_at":"2026-06-01T10:00:00Z","job":{{"id":"{job}","status":"completed"}},"data":{{}}}}"#,
        "v".repeat(128)
    );
    let publisher = &scene.services.publisher;
    publisher.publish(&event.into()).await.unwrap();
    let letter = scene.dead_letters("acme", 1).await.remove(0);
    let delivery = letter.delivery().unwrap().id.clone();
    let cause = &letter.cause.fingerprint;
    let browser = Browser::start().await;
    browser
        .sign_in(&stage.address, &scene.key(None, MANAGE).await)
        .await;
    let group = format!("/dead-letters/list?project=acme&cause={cause}");
    let pages = [
        ("long-overview", "/".to_owned()),
        ("many-webhooks", "/webhooks?project=umbra".to_owned()),
        ("long-webhooks", "/webhooks?project=acme".to_owned()),
        ("long-webhook", format!("/webhooks/{}", long.webhook.id)),
        ("long-deliveries", "/deliveries".to_owned()),
        ("long-delivery", format!("/deliveries/{delivery}")),
        ("long-groups", "/dead-letters".to_owned()),
        ("long-group", group),
        ("long-letter", format!("/dead-letters/{}", letter.id)),
        ("long-settings", "/settings".to_owned()),
        (
            "long-disable",
            format!("/webhooks/{}/disable", long.webhook.id),
        ),
    ];
    let barriers = look_at(&stage, &browser, &pages).await;
    assert!(barriers.is_empty(), "{}", barriers.join("\n"));
    stage.end().await;
}

/// Every page, on the desk and on a phone, in light and in dark: what is wrong with it, and a picture when somebody wants some.
async fn look_at(stage: &Stage, browser: &Browser, pages: &[(&str, String)]) -> Vec<String> {
    let mut barriers = Vec::new();
    for (screen, kind) in [(DESKTOP, "desktop"), (PHONE, "phone")] {
        for (is_dark, colours) in [(false, "light"), (true, "dark")] {
            browser.show_as(Screen { is_dark, ..screen }).await;
            for (name, path) in pages {
                browser.go(&format!("{}{path}", stage.address)).await;
                browser.picture(&format!("{name}-{kind}-{colours}")).await;
                let found = browser.barriers().await;
                let place = format!("{name}, {kind}, {colours}");
                barriers.extend(found.iter().map(|found| format!("{place}: {found}")));
            }
        }
    }
    browser.show_as(DESKTOP).await;
    barriers
}

#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_somebody_from_using_a_page_is_found() {
    let stage = Stage::begin().await;
    let browser = Browser::start().await;
    browser
        .sign_in(&stage.address, &stage.scene.key(Some("acme"), MANAGE).await)
        .await;
    let page = format!("{}/webhooks/new", stage.address);
    let table = format!("{}/settings", stage.address);
    for (page, broken, found) in [
        (
            &page,
            "document.documentElement.style.setProperty('--soft', '#999')",
            "contrast 2.",
        ),
        (
            &page,
            "document.querySelector('.hint').style.opacity = 0.5",
            "contrast ",
        ),
        (
            &page,
            "document.documentElement.style.setProperty('--line-strong', '#ddd')",
            "of its border 1.",
        ),
        (
            &page,
            "document.querySelector('label[for=field-url]').remove()",
            "no label",
        ),
        (&page, "document.querySelector('h1').remove()", "0 of h1"),
        (
            &page,
            "document.querySelector('main').append(document.createElement('main'))",
            "2 of main",
        ),
        (
            &page,
            "document.querySelector('main h1').outerHTML = '<h3>x</h3>'",
            "after a heading of level 0",
        ),
        (
            &page,
            "document.querySelector('button.main').style.outline = 'none'",
            "its focus is not seen",
        ),
        (
            &page,
            "document.querySelector('button.main').textContent = ''",
            "no name",
        ),
        (
            &page,
            "document.querySelector('main').style.minWidth = '3000px'",
            "wider than the screen",
        ),
        (
            &page,
            "document.querySelector('.hint').remove()",
            "which is not there",
        ),
        (
            &table,
            "document.querySelector('th').removeAttribute('scope')",
            "a heading of what",
        ),
        (
            &table,
            "document.querySelector('caption').remove()",
            "no caption",
        ),
    ] {
        browser.go(page).await;
        let before = browser.barriers().await;
        assert!(before.is_empty(), "{before:?}");
        browser.ask(broken).await;
        let after = browser.barriers().await;
        assert!(
            after.iter().any(|one| one.contains(found)),
            "{broken}: {after:?}"
        );
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_breaks_and_its_dead_letters_are_replayed() {
    let stage = Stage::begin().await;
    let scene = &stage.scene;
    let down = Answer::status(503).with_body("closed for maintenance");
    scene.receiver.script("/orders", [down]);
    let browser = Browser::start().await;
    browser
        .sign_in(&stage.address, &scene.key(Some("acme"), MANAGE).await)
        .await;
    browser.see("Nothing was sent yet").await;

    // Create a webhook.
    browser.click("Create a webhook").await;
    browser.write("URL", &scene.receiver.url("/orders")).await;
    browser.write("Description", "Orders").await;
    browser.click("Create webhook").await;
    browser.see("it is not shown again").await;
    let secret = browser
        .ask("return document.getElementById('secret').textContent")
        .await;
    assert!(secret.as_str().unwrap().starts_with("whsec_"));
    browser.click("Send a test event").await;
    browser.see("closed for maintenance").await;
    assert!(!browser.text().await.contains("whsec_"));

    // Deliveries fail, and are given up.
    for _ in 0..12 {
        scene.publish("acme", "task.completed").await;
    }
    scene.dead_letters("acme", 12).await;
    browser.click("Deliveries").await;
    browser.see("dead letter").await;

    // One cause, one group.
    browser.click("Dead letters").await;
    browser.see("closed for maintenance").await;
    browser.click("refused 503").await;
    browser.see("Does somebody know?").await;
    browser.write("Note", "the warehouse is on it").await;
    browser.click("I know of it").await;
    browser.see("the warehouse is on it").await;

    // The plan shows what it would do, and does nothing before it is started.
    browser.click("Plan a replay of these").await;
    browser.write("Why", "the warehouse is back").await;
    browser.click("Make the plan").await;
    browser.see("Replay of 12 dead letters").await;
    browser.see("Nothing was sent yet").await;
    assert_eq!(scene.dead_letters("acme", 12).await.len(), 12);

    // The receiver is repaired.
    scene.receiver.script("/orders", [Answer::status(200)]);
    browser.click("Start").await;
    // The script keeps the page up to date.
    browser.see("12 of 12 delivered").await;
    browser.see("finished").await;
    let orders = scene.receiver.received("/orders");
    let accepted = orders.len() - 1 - 2 * 12;
    assert_eq!(
        accepted, 12,
        "one test event, two attempts each, and one replay each"
    );
    browser.click("Overview").await;
    browser.see("Nothing was given up").await;

    // Those of a test are not worth a replay: the whole group is left be.
    let down = Answer::status(503).with_body("closed for good");
    scene.receiver.script("/orders", [down]);
    for _ in 0..3 {
        scene.publish("acme", "task.completed").await;
    }
    scene.dead_letters("acme", 3).await;
    browser.click("Dead letters").await;
    browser.click("refused 503").await;
    browser.click("Leave them all: discard the group").await;
    browser.write("Why", "it was a test").await;
    browser.click("Discard the group").await;
    // The browser asks for the check first.
    let asked = browser
        .ask("return document.querySelector('[name=sure]').matches(':invalid')")
        .await;
    assert_eq!(asked, true);
    browser.click("Yes, discard all 3 that are open now").await;
    browser.click("Discard the group").await;
    browser.see("3 discarded. They are kept").await;
    browser.click("Dead letters").await;
    browser.see("No dead letters").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
    stage.end().await;
}
