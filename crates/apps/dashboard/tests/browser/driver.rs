//! A browser, driven over `WebDriver`: just what the tests need of it.

use crate::scene::PATIENCE;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use ringback_testkit::servers::ChromeDriver;
use serde_json::{Value, json};
use std::{path::Path, time::Duration};
use tokio::time::Instant;

const POLL: Duration = Duration::from_millis(25);
/// The name that `WebDriver` gives to references to elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// Where pictures go.
const PICTURES_VARIABLE: &str = "RINGBACK_TEST_PICTURES";
/// Tab and Enter, as `WebDriver` spells keys.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// A browser with a profile of its own. Ends when dropped.
pub(crate) struct Browser {
    driver: ChromeDriver,
    client: Client<HttpConnector, Full<Bytes>>,
    session: String,
}

/// How a page is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) is_dark: bool,
    pub(crate) has_script: bool,
}

pub(crate) const DESKTOP: Screen = Screen {
    width: 1280,
    height: 900,
    is_dark: false,
    has_script: true,
};
pub(crate) const PHONE: Screen = Screen {
    width: 360,
    height: 740,
    ..DESKTOP
};

impl Browser {
    pub(crate) async fn start() -> Self {
        let driver = tokio::task::spawn_blocking(|| ChromeDriver::start().unwrap())
            .await
            .unwrap();
        let profile = driver.folder().join("profile");
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "unhandledPromptBehavior": "ignore",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {"binary": driver.browser(), "args": args},
        }}});
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut browser = Self {
            driver,
            client,
            session: String::new(),
        };
        let session = browser
            .call(Method::POST, "/session", Some(wanted))
            .await
            .unwrap();
        let id = session["sessionId"].as_str().unwrap();
        browser.session = format!("/session/{id}");
        browser.show_as(DESKTOP).await;
        browser
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let body = body.map_or_else(String::new, |body| body.to_string());
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.driver.url()))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .unwrap();
        let answer = self.client.request(request).await.unwrap();
        let is_done = answer.status().is_success();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let mut answer: Value = serde_json::from_slice(&body).unwrap();
        let value = answer["value"].take();
        if is_done {
            Ok(value)
        } else {
            Err(value.to_string())
        }
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        let path = format!("{}{command}", self.session);
        self.call(Method::POST, &path, Some(body))
            .await
            .unwrap_or_else(|failure| panic!("{command}: {failure}"))
    }

    async fn get(&self, command: &str) -> Result<Value, String> {
        let path = format!("{}{command}", self.session);
        self.call(Method::GET, &path, None).await
    }

    /// A command of Chromium's own protocol.
    async fn cdp(&self, command: &str, params: Value) -> Value {
        self.post(
            "/goog/cdp/execute",
            json!({"cmd": command, "params": params}),
        )
        .await
    }

    pub(crate) async fn show_as(&self, screen: Screen) {
        let metrics = json!({
            "width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": screen.width < 600,
        });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let scheme = if screen.is_dark { "dark" } else { "light" };
        let media = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            // What fades in and out has no contrast that could be told.
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.cdp("Emulation.setEmulatedMedia", media).await;
        let script = json!({"value": !screen.has_script});
        self.cdp("Emulation.setScriptExecutionDisabled", script)
            .await;
    }

    pub(crate) async fn go(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    pub(crate) async fn url(&self) -> String {
        self.get("/url").await.unwrap().as_str().unwrap().to_owned()
    }

    /// What the script returns. The test's own: it also works where pages may run none.
    pub(crate) async fn ask(&self, script: &str) -> Value {
        let asked =
            json!({"expression": format!("(() => {{ {script} }})()"), "returnByValue": true});
        self.cdp("Runtime.evaluate", asked).await["result"]["value"].take()
    }

    /// What keeps somebody from reading and using the page, by the checks of `checks.js`.
    pub(crate) async fn barriers(&self) -> Vec<String> {
        // The browser shows the focus to whoever used a key last.
        self.press(TAB).await;
        let found = self.ask(include_str!("checks.js")).await;
        let found = found.as_array().expect("the checks ran").iter();
        found.map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    /// What is to be read on the page.
    pub(crate) async fn text(&self) -> String {
        let text = self.ask("return document.body.innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until this is to be read on the page; a page that does not move is asked for again.
    pub(crate) async fn see(&self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.text().await.contains(words) {
            assert!(
                Instant::now() < deadline,
                "`{words}` is not on {}:\n{}",
                self.url().await,
                self.text().await
            );
            tokio::time::sleep(POLL).await;
        }
    }

    async fn find(&self, xpath: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let wanted = json!({"using": "xpath", "value": xpath});
            let path = format!("{}/element", self.session);
            match self.call(Method::POST, &path, Some(wanted)).await {
                Ok(found) => return found[ELEMENT].as_str().unwrap().to_owned(),
                Err(failure) => assert!(
                    Instant::now() < deadline,
                    "{failure} on {}:\n{}",
                    self.url().await,
                    self.text().await
                ),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Clicks the link, button or label of these words.
    pub(crate) async fn click(&self, words: &str) {
        let is_named = format!("[normalize-space()='{words}']");
        let found = self
            .find(&format!("//main//a{is_named} | //main//button{is_named} | //main//label{is_named} | //summary{is_named} | //header//a{is_named} | //header//button{is_named}"))
            .await;
        self.post(&format!("/element/{found}/click"), json!({}))
            .await;
    }

    /// Writes into the field of this label.
    pub(crate) async fn write(&self, label: &str, text: &str) {
        let field = self
            .find(&format!(
                "//*[@id=//label[normalize-space()='{label}']/@for]"
            ))
            .await;
        self.post(&format!("/element/{field}/value"), json!({"text": text}))
            .await;
    }

    /// Presses keys, wherever the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let actions: Vec<_> = keys
            .chars()
            .flat_map(|key| {
                let key = key.to_string();
                [
                    json!({"type": "keyDown", "value": key}),
                    json!({"type": "keyUp", "value": key}),
                ]
            })
            .collect();
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.post("/actions", keyboard).await;
    }

    /// Signs in with a key.
    pub(crate) async fn sign_in(&self, address: &str, key: &str) {
        self.go(&format!("{address}/sign-in")).await;
        self.write("Key", key).await;
        self.click("Sign in").await;
        self.see("Overview").await;
    }

    /// The words of a dialog, when one is open.
    pub(crate) async fn dialog(&self) -> Option<String> {
        let text = self.get("/alert/text").await.ok()?;
        Some(text.as_str().unwrap_or_default().to_owned())
    }

    /// What the browser complained of since it was asked last: scripts that failed, and what the policy kept from running.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let log = self.post("/se/log", json!({"type": "browser"})).await;
        let entries = log.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    /// Takes a picture for the documentation, when somebody wants some: into the folder that [`PICTURES_VARIABLE`] names.
    pub(crate) async fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os(PICTURES_VARIABLE) else {
            return;
        };
        let picture = self
            .cdp("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }
}
