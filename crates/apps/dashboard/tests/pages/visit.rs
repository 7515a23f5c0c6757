//! A browser without a screen: it keeps the cookie and finds the token of forms.

use crate::scene::Scene;
use axum::{Router, body::Body};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use ringback_api::Peer;
use std::net::{IpAddr, Ipv4Addr};
use tower::ServiceExt;
use url::form_urlencoded;

pub(crate) struct Visit {
    router: Router,
    cookie: String,
}

/// What came back, whole.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
    headers: HeaderMap,
}

impl Seen {
    pub(crate) fn header_maybe(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.header_maybe(name)
            .unwrap_or_else(|| panic!("no `{name}` in {self:?}"))
    }
}

/// What the forms of a page carry.
pub(crate) fn token_of(page: &Seen) -> String {
    let after = page.body.split("name=\"form_token\" value=\"").nth(1);
    after.unwrap().split('"').next().unwrap().to_owned()
}

impl Visit {
    pub(crate) fn of(scene: &Scene) -> Self {
        Self {
            router: scene.router.clone(),
            cookie: String::new(),
        }
    }

    /// The same browser, at another process.
    pub(crate) fn at(&self, router: Router) -> Self {
        Self {
            router,
            cookie: self.cookie.clone(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Seen {
        self.send("GET", path, &[], "").await
    }

    /// Sends a form of ours, with the token of this session.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Seen {
        let token = self.token().await;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("form_token", &token)
            .extend_pairs(fields)
            .finish();
        self.send("POST", path, &[], &form).await
    }

    pub(crate) async fn sign_in(&mut self, key: &str, next: Option<&str>) -> Seen {
        let next = next.unwrap_or_default();
        self.post("/sign-in", &[("key", key), ("next", next)]).await
    }

    /// What the forms of this session carry.
    pub(crate) async fn token(&mut self) -> String {
        token_of(&self.get("/sign-in").await)
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Seen {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1:8080")
            .header(header::COOKIE, &self.cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .extension(Peer(IpAddr::V4(Ipv4Addr::LOCALHOST)))
            .body(Body::from(body.to_owned()))
            .unwrap();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if let Some(cookie) = head.headers.get(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            pair.clone_into(&mut self.cookie);
        }
        Seen {
            status: head.status,
            body: String::from_utf8_lossy(&body).into_owned(),
            headers: head.headers,
        }
    }
}
