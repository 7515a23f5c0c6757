//! The cookie away from this machine.

use crate::{
    MANAGE,
    scene::Scene,
    visit::{Visit, token_of},
};
use http::StatusCode;

#[tokio::test(flavor = "multi_thread")]
async fn away_from_this_machine_the_cookie_is_of_this_host_alone() {
    let scene = Scene::begin().await;
    let mut visit = Visit::of(&scene);
    let host = ("host", "192.0.2.7:8080");
    let page = visit.send("GET", "/sign-in", &[host], "").await;
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("__Host-ringback_session="), "{cookie}");
    assert!(
        cookie.contains("; Path=/; HttpOnly; SameSite=Lax; Secure"),
        "{cookie}"
    );
    assert!(!cookie.contains("Domain"), "{cookie}");

    let key = scene.key(Some("acme"), MANAGE).await;
    let form = format!("form_token={}&key={key}&next=", token_of(&page));
    let signed_in = visit.send("POST", "/sign-in", &[host], &form).await;
    assert_eq!(signed_in.status, StatusCode::SEE_OTHER);
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap();
    assert_eq!(
        visit.send("GET", "/", &[host], "").await.status,
        StatusCode::OK
    );

    // One that a neighbour could have put there.
    let other = cookie.trim_start_matches("__Host-");
    let tossed = Visit::of(&scene)
        .send("GET", "/", &[host, ("cookie", other)], "")
        .await;
    assert_eq!(tossed.status, StatusCode::SEE_OTHER);
    scene.end().await;
}
