//! What the script does for those whose browser runs one.

use crate::{MANAGE, Stage, driver::Browser};
use ringback_testkit::receiver::Answer;
use std::time::Duration;

/// Looks again at once, as for one who comes back to the page.
const COME_BACK: &str = "document.dispatchEvent(new Event('visibilitychange'))";

/// The number of a tile of the overview.
async fn tile(browser: &Browser, name: &str) -> String {
    let script = format!(
        "return [...document.querySelectorAll('.tile')].find((tile) => tile.querySelector('dt').textContent === '{name}').querySelector('dd').firstChild.textContent"
    );
    let number = browser.ask(&script).await;
    number.as_str().unwrap_or_default().to_owned()
}

/// Looks again until a tile has this number.
async fn see_in_tile(browser: &Browser, name: &str, number: &str) {
    let deadline = tokio::time::Instant::now() + crate::scene::PATIENCE;
    while tile(browser, name).await != number {
        assert!(
            tokio::time::Instant::now() < deadline,
            "{name} is not {number}:\n{}",
            browser.text().await
        );
        browser.ask(COME_BACK).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_cannot_look_again_says_so() {
    let stage = Stage::begin().await;
    let key = stage.scene.key(Some("acme"), MANAGE).await;
    let browser = Browser::start().await;
    browser.sign_in(&stage.address, &key).await;
    browser.see("Nothing was sent yet").await;
    let not_fresh = "This page is not up to date: it shows what was so at ";
    assert!(!browser.text().await.contains(not_fresh));

    // The network is gone for a while.
    browser
        .ask("window.own = fetch; window.fetch = () => Promise.reject(new TypeError('no network'))")
        .await;
    browser.ask(COME_BACK).await;
    browser.see(not_fresh).await;
    browser.ask("window.fetch = window.own").await;
    browser.ask(COME_BACK).await;
    let deadline = tokio::time::Instant::now() + crate::scene::PATIENCE;
    while browser.text().await.contains(not_fresh) {
        assert!(tokio::time::Instant::now() < deadline, "still stale");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }

    // A session that has ended is not taken for a quiet night, either.
    let id = key.split('_').nth(1).unwrap().parse().unwrap();
    stage.scene.services.keys.revoke(&id).await.unwrap();
    browser.ask(COME_BACK).await;
    browser.see(not_fresh).await;
    browser.click("Reload it").await;
    browser.see("A key shows what its project has").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_again_leaves_alone_what_somebody_is_at() {
    let stage = Stage::begin().await;
    let scene = &stage.scene;
    let down = Answer::status(503).with_body("closed for maintenance");
    scene.receiver.script("/orders", [down]);
    scene.webhook("acme", "/orders").await;
    scene.publish("acme", "task.completed").await;
    scene.dead_letters("acme", 1).await;
    let browser = Browser::start().await;
    browser
        .sign_in(&stage.address, &scene.key(Some("acme"), MANAGE).await)
        .await;
    see_in_tile(&browser, "Dead letters", "1").await;

    // The focus is on the group; what is around it is renewed.
    browser
        .ask("window.held = document.querySelector('.ranked a'); held.focus()")
        .await;
    scene.publish("acme", "task.completed").await;
    scene.dead_letters("acme", 2).await;
    see_in_tile(&browser, "Dead letters", "2").await;
    let held = "return held.isConnected && document.activeElement === held && held.closest('li').querySelector('strong').textContent";
    assert_eq!(browser.ask(held).await, "1");

    // Words that were chosen stay chosen.
    browser
        .ask("held.blur(); getSelection().selectAllChildren(document.querySelector('.ranked li span'))")
        .await;
    scene.publish("acme", "task.completed").await;
    scene.dead_letters("acme", 3).await;
    see_in_tile(&browser, "Dead letters", "3").await;
    let chosen = browser.ask("return getSelection().toString()").await;
    assert!(chosen.as_str().unwrap().contains("refused 503"), "{chosen}");

    // Nobody is at it any more.
    browser.ask("getSelection().removeAllRanges()").await;
    browser.ask(COME_BACK).await;
    browser.see("refused 503 at 127.0.0.1\n3").await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buttons_copy_and_filters_are_short_in_the_address() {
    let stage = Stage::begin().await;
    let webhook = stage.scene.webhook("acme", "/orders").await;
    let browser = Browser::start().await;
    browser
        .sign_in(&stage.address, &stage.scene.key(Some("acme"), MANAGE).await)
        .await;
    browser
        .go(&format!("{}/webhooks/{}", stage.address, webhook.id))
        .await;
    browser
        .ask("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
        .await;
    browser.click("Copy the id").await;
    browser.see("Copied").await;
    assert_eq!(
        browser.ask("return copied").await,
        webhook.id.to_string().as_str()
    );
    browser
        .ask("navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed'))")
        .await;
    browser.click("Copy the id").await;
    browser.see("Not copied").await;

    // A moment is told on the clock of the one who points at it.
    let title = "const time = document.querySelector('main time'); \
         time.dispatchEvent(new PointerEvent('pointerover', { bubbles: true })); return time.title";
    let told = browser.ask(title).await;
    assert!(told.as_str().unwrap().ends_with(" where you are"), "{told}");

    browser.go(&format!("{}/deliveries", stage.address)).await;
    browser.write("Event", "evt_1").await;
    browser.click("Filter").await;
    browser.see("No delivery matches").await;
    let place = format!("{}/deliveries", stage.address);
    assert_eq!(browser.url().await, format!("{place}?event=evt_1"));
    browser.click("Clear").await;
    browser.see("Nothing was delivered yet").await;
    assert_eq!(browser.url().await, place);
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_chosen_together_and_dealt_with_after_a_question() {
    let stage = Stage::begin().await;
    let scene = &stage.scene;
    scene.receiver.script("/orders", [Answer::status(503)]);
    scene.webhook("acme", "/orders").await;
    for _ in 0..3 {
        scene.publish("acme", "task.completed").await;
    }
    scene.dead_letters("acme", 3).await;
    scene.receiver.script("/orders", [Answer::status(200)]);
    let browser = Browser::start().await;
    browser
        .sign_in(&stage.address, &scene.key(Some("acme"), MANAGE).await)
        .await;
    let list = format!("{}/dead-letters/list", stage.address);
    browser.go(&list).await;
    browser.click("Choose all shown").await;
    let first = "document.querySelector('main td input').click()";
    browser.ask(first).await;
    browser.click("Replay the chosen…").await;
    browser.see("2 dead letters: replay?").await;
    let barriers = browser.barriers().await;
    assert!(barriers.is_empty(), "{barriers:?}");
    browser.click("Replay them").await;
    browser.see("2 are on their way again").await;
    // A reload asks nothing of anybody.
    assert_eq!(browser.url().await, list);
    browser.go(&list).await;
    browser.click("Choose all shown").await;
    browser.click("Discard the chosen…").await;
    browser.write("Why", "it was a test").await;
    browser.click("Discard them").await;
    browser.see("1 was discarded").await;
    let complaints = browser.complaints().await;
    assert!(complaints.is_empty(), "{complaints:?}");
    stage.end().await;
}
