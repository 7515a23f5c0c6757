//! What every request passes: is it for us, does it come from a page of ours, and what the browser is told about the answer.

use crate::{
    Desk,
    form::{FORM_BYTES_MAX, Fields},
    refusal::Refusal,
    session::Session,
    view::TOKEN_FIELD,
};
use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority};
use http_body_util::{BodyExt, Limited};
use ringback_api::problem::{Code, MEDIA_TYPE, Problem};
use std::{net::IpAddr, sync::Arc};
use url::Url;

/// The cookie away from this machine. By its name browsers take it from this very host alone, over TLS: no neighbour below the
/// same domain can put one of its own in its place.
const COOKIE: &str = "__Host-ringback_session";
/// The cookie of a browser on this machine, where there need be no TLS.
const COOKIE_ON_LOOPBACK: &str = "ringback_session";

/// Nothing from elsewhere, nothing inline, in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What the browser is told about every answer.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// The names that browsers may ask for. A name that a stranger owns may be made to lead to us (DNS rebinding): a page of
/// theirs would then be of one origin with ours. An address cannot be made to lead elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Vec<String>);

impl Hosts {
    /// These names, besides `localhost` and addresses.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(
            names
                .into_iter()
                .map(|name| name.to_ascii_lowercase())
                .collect(),
        )
    }

    fn allow(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        address(&host).is_some()
            || host == "localhost"
            || host.ends_with(".localhost")
            || self.0.contains(&host)
    }
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

/// Whether the browser is on this machine, so that there need be no TLS.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || address(host).is_some_and(|address| address.is_loopback())
}

/// The host and port that the browser asked for.
fn host_asked(request: &Request) -> Option<Authority> {
    let named = || {
        request
            .headers()
            .get(header::HOST)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    };
    request.uri().authority().cloned().or_else(named)
}

pub(crate) async fn guard(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let mut response = match checked(&desk, request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    };
    tell_browser(&mut response);
    response
}

/// What nobody answers, as a page for those who look with a browser; programs are told as the API does.
pub(crate) async fn error_page(request: Request, next: Next) -> Response {
    let is_call = request.uri().path().starts_with("/api/");
    let accepted = request.headers().get(header::ACCEPT);
    let is_browser = accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accepted| accepted.contains("text/html"));
    let answer = next.run(request).await;
    let media_type = answer.headers().get(header::CONTENT_TYPE);
    let is_problem = media_type.is_some_and(|media_type| media_type == MEDIA_TYPE);
    let code = match answer.status() {
        StatusCode::NOT_FOUND => Code::NoSuchRoute,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        _ => return answer,
    };
    if is_call || !is_browser || !is_problem {
        return answer;
    }
    let mut page = Refusal::from(Problem::new(code)).into_response();
    if let Some(allow) = answer.headers().get(header::ALLOW) {
        page.headers_mut().insert(header::ALLOW, allow.clone());
    }
    tell_browser(&mut page);
    page
}

fn tell_browser(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

/// The request with what handlers need of it: the session, and the members of the form.
async fn checked(desk: &Desk, mut request: Request) -> Result<Request, Refusal> {
    let authority = host_asked(&request);
    let host = authority.as_ref().map_or("", Authority::host);
    if !desk.hosts.allow(host) {
        return Err(Refusal::Host(host.to_owned()));
    }
    let is_loopback = is_loopback(host);
    let session = cookie(request.headers(), cookie_name(is_loopback))
        .and_then(|value| desk.sessions.of_cookie(value));
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    if changes {
        let ours = authority.as_ref().map_or("", Authority::as_str);
        if is_from_elsewhere(request.headers(), ours) {
            return Err(Refusal::NotOurs("It was sent by a page of another site."));
        }
        let (head, body) = request.into_parts();
        let fields = read_form(desk, &head.headers, body).await?;
        let session = session.as_ref().ok_or(Refusal::NotOurs(
            "Your browser sent no cookie of ours, or one whose time is over.",
        ))?;
        let token = fields.get(TOKEN_FIELD).unwrap_or_default();
        if !desk.sessions.is_form_token(session, token) {
            return Err(Refusal::NotOurs(
                "The form belongs to a session that has ended, or did not come from a page of ours.",
            ));
        }
        request = Request::from_parts(head, Body::empty());
        request.extensions_mut().insert(fields);
    } else {
        let asked = request.uri().query().unwrap_or_default();
        let fields = Fields::parse(asked.as_bytes());
        request.extensions_mut().insert(fields);
    }
    if let Some(session) = session {
        request.extensions_mut().insert(session);
    }
    request.extensions_mut().insert(Browser { is_loopback });
    Ok(request)
}

/// Whether the browser says that another site sent this. One that says nothing is judged by the form's token alone: over
/// plain HTTP browsers leave `Sec-Fetch-Site` out, and our own `Referrer-Policy` makes `Origin` say `null`.
fn is_from_elsewhere(headers: &HeaderMap, ours: &str) -> bool {
    let says = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = says("sec-fetch-site") {
        return site != "same-origin";
    }
    match says("origin") {
        None | Some("null") => false,
        Some(origin) => Url::parse(origin).map_or(true, |url| {
            let port = url.port().map_or(String::new(), |port| format!(":{port}"));
            !format!("{}{port}", url.host_str().unwrap_or_default()).eq_ignore_ascii_case(ours)
        }),
    }
}

async fn read_form(desk: &Desk, headers: &HeaderMap, body: Body) -> Result<Fields, Problem> {
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if !media_type.starts_with("application/x-www-form-urlencoded") {
        return Err(Problem::new(Code::UnsupportedMediaType));
    }
    let limited = Limited::new(body, FORM_BYTES_MAX);
    let reading = tokio::time::timeout(desk.services.limits.body_time_limit, limited.collect());
    match reading.await {
        Err(_) => Err(Problem::new(Code::BodyTimeout)),
        Ok(Err(_)) => {
            let detail = format!("a form has at most {FORM_BYTES_MAX} bytes");
            Err(Problem::new(Code::BodyTooLarge).detail(detail))
        }
        Ok(Ok(body)) => Ok(Fields::parse(&body.to_bytes())),
    }
}

/// What is to be known of the browser to give it a cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Browser {
    is_loopback: bool,
}

impl Browser {
    /// Gives a session to the browser.
    pub(crate) fn give(self, desk: &Desk, session: &Session) -> HeaderValue {
        self.cookie(&desk.sessions.cookie(session), "")
    }

    /// Takes the session from the browser.
    pub(crate) fn take(self) -> HeaderValue {
        self.cookie("", "; Max-Age=0")
    }

    fn cookie(self, value: &str, more: &str) -> HeaderValue {
        let name = cookie_name(self.is_loopback);
        let secure = if self.is_loopback { "" } else { "; Secure" };
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}");
        HeaderValue::try_from(text).expect("ids, numbers and hex digits are visible ASCII")
    }
}

fn cookie_name(is_loopback: bool) -> &'static str {
    if is_loopback {
        COOKIE_ON_LOOPBACK
    } else {
        COOKIE
    }
}

fn cookie<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter();
    all.filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == wanted).then_some(value)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_configured_names_are_ours_and_no_other_name_is() {
        let hosts = Hosts::new(["Ringback.example.com".to_owned()]);
        for ours in [
            "localhost",
            "LOCALHOST",
            "a.localhost",
            "127.0.0.1",
            "[::1]",
            "10.1.2.3",
            "ringback.example.com",
        ] {
            assert!(hosts.allow(ours), "{ours}");
        }
        for other in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.nip.io",
            "ringback.example.com.evil.example",
        ] {
            assert!(!hosts.allow(other), "{other}");
        }
    }

    #[test]
    fn what_another_site_sent_is_told_by_what_browsers_say() {
        let sent = |headers: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, HeaderValue::from_static(value));
            }
            is_from_elsewhere(&map, "127.0.0.1:8080")
        };
        assert!(!sent(&[]));
        assert!(!sent(&[("origin", "null")]));
        assert!(!sent(&[("origin", "http://127.0.0.1:8080")]));
        assert!(sent(&[("origin", "http://127.0.0.1:8081")]));
        assert!(sent(&[("origin", "https://evil.example")]));
        assert!(!sent(&[
            ("sec-fetch-site", "same-origin"),
            ("origin", "null")
        ]));
        assert!(sent(&[
            ("sec-fetch-site", "cross-site"),
            ("origin", "null")
        ]));
        assert!(sent(&[("sec-fetch-site", "same-site")]));
    }
}
