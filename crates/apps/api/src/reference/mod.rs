//! The reference page: the description of the API as one page of plain HTML, made once, without a script.

use crate::problem::Code;
use serde_json::Value;
use std::fmt::Write;

const METHODS: [&str; 4] = ["get", "post", "patch", "delete"];

/// The page for a description.
pub(crate) fn page(description: &Value, codes: &[Code]) -> String {
    let mut html = Html(String::new());
    html.raw("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    html.raw("<title>Ringback API</title><link rel=\"stylesheet\" href=\"/docs/style.css\"></head><body>");
    navigation(&mut html, description);
    html.raw("<main>");
    introduction(&mut html, description);
    for tag in items(&description["tags"]) {
        group(
            &mut html,
            description,
            text(&tag["name"]),
            text(&tag["description"]),
        );
    }
    problems(&mut html, codes);
    schemas(&mut html, description);
    html.raw("</main></body></html>\n");
    html.0
}

struct Html(String);

impl Html {
    fn raw(&mut self, text: &str) {
        self.0.push_str(text);
    }

    /// Text, with what stands between backticks as code.
    fn text(&mut self, text: &str) {
        for (index, part) in text.split('`').enumerate() {
            match index % 2 {
                0 => self.escaped(part),
                _ => self.element("code", part),
            }
        }
    }

    fn element(&mut self, name: &str, content: &str) {
        let _ = write!(self.0, "<{name}>");
        self.escaped(content);
        let _ = write!(self.0, "</{name}>");
    }

    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.raw("&amp;"),
                '<' => self.raw("&lt;"),
                '>' => self.raw("&gt;"),
                '"' => self.raw("&quot;"),
                c => self.0.push(c),
            }
        }
    }

    fn table_head(&mut self, columns: &[&str]) {
        self.raw("<table><thead><tr>");
        for column in columns {
            self.element("th", column);
        }
        self.raw("</tr></thead><tbody>");
    }

    fn table_end(&mut self) {
        self.raw("</tbody></table>");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// An anchor of a name.
fn anchor(name: &str) -> String {
    name.replace(' ', "-")
}

/// The calls of a group: method, path and what is said of them.
fn calls<'a>(
    description: &'a Value,
    tag: &'a str,
) -> impl Iterator<Item = (&'static str, &'a str, &'a Value)> {
    members(&description["paths"])
        .flat_map(|(path, calls)| {
            METHODS
                .iter()
                .filter_map(move |method| Some((*method, path.as_str(), calls.get(method)?)))
        })
        .filter(move |(_, _, call)| items(&call["tags"]).any(|name| name == tag))
}

fn navigation(html: &mut Html, description: &Value) {
    html.raw("<nav><p><a href=\"#top\">Ringback API</a></p>");
    for tag in items(&description["tags"]) {
        let name = text(&tag["name"]);
        html.raw(&format!("<p><a href=\"#{}\">", anchor(name)));
        html.escaped(name);
        html.raw("</a></p><ul>");
        for (method, path, call) in calls(description, name) {
            html.raw(&format!("<li><a href=\"#{}\">", call_anchor(call)));
            html.escaped(&format!("{} {}", method.to_uppercase(), short(path)));
            html.raw("</a></li>");
        }
        html.raw("</ul>");
    }
    html.raw("<p><a href=\"#problems\">problems</a></p><p><a href=\"#schemas\">schemas</a></p>");
    html.raw("<p><a href=\"/openapi.json\">openapi.json</a></p></nav>");
}

fn short(path: &str) -> &str {
    path.strip_prefix("/api/v1").unwrap_or(path)
}

fn call_anchor(call: &Value) -> String {
    format!("call-{}", text(&call["operationId"]))
}

fn introduction(html: &mut Html, description: &Value) {
    let info = &description["info"];
    html.raw("<header id=\"top\"><h1>");
    html.escaped(text(&info["title"]));
    html.raw(" API</h1><p>");
    html.text(text(&info["description"]));
    html.raw("</p><p>");
    html.text("A key goes into `Authorization: Bearer <key>` or `X-API-Key: <key>`.");
    html.raw("</p></header>");
}

fn group(html: &mut Html, description: &Value, name: &str, about: &str) {
    html.raw(&format!("<section id=\"{}\">", anchor(name)));
    html.element("h2", name);
    html.raw("<p>");
    html.text(about);
    html.raw("</p>");
    for (method, path, call) in calls(description, name) {
        html.raw(&format!(
            "<article id=\"{}\"><h3><span class=\"method {method}\">",
            call_anchor(call)
        ));
        html.escaped(&method.to_uppercase());
        html.raw("</span> ");
        html.element("code", path);
        html.raw("</h3><p>");
        html.text(text(&call["summary"]));
        html.raw(" ");
        html.text(text(&call["description"]));
        html.raw("</p>");
        parameters(html, call);
        request(html, call);
        responses(html, call);
        html.raw("</article>");
    }
    html.raw("</section>");
}

fn parameters(html: &mut Html, call: &Value) {
    if items(&call["parameters"]).next().is_none() {
        return;
    }
    html.table_head(&["parameter", "in", "type", ""]);
    for parameter in items(&call["parameters"]) {
        html.raw("<tr><td>");
        html.element("code", text(&parameter["name"]));
        html.raw("</td><td>");
        html.escaped(text(&parameter["in"]));
        html.raw("</td><td>");
        schema_name(html, &parameter["schema"]);
        html.raw("</td><td>");
        html.text(text(&parameter["description"]));
        html.raw("</td></tr>");
    }
    html.table_end();
}

fn request(html: &mut Html, call: &Value) {
    for (media_type, content) in members(&call["requestBody"]["content"]) {
        html.raw("<p>Body: ");
        html.element("code", media_type);
        html.raw(", ");
        schema_name(html, &content["schema"]);
        html.raw("</p>");
    }
}

fn responses(html: &mut Html, call: &Value) {
    html.table_head(&["status", "", "body"]);
    for (status, response) in members(&call["responses"]) {
        html.raw("<tr><td>");
        html.element("code", status);
        html.raw("</td><td>");
        html.text(text(&response["description"]));
        html.raw("</td><td>");
        for (_, content) in members(&response["content"]) {
            schema_name(html, &content["schema"]);
        }
        html.raw("</td></tr>");
    }
    html.table_end();
}

fn problems(html: &mut Html, codes: &[Code]) {
    html.raw("<section id=\"problems\"><h2>problems</h2><p>");
    html.text(
        "A call that was not done is answered with `application/problem+json` (RFC 9457). Choose by `code`: it stays. \
         `errors` has one entry for each faulty member or parameter.",
    );
    html.raw("</p>");
    html.table_head(&["code", "status", ""]);
    for code in codes {
        html.raw(&format!("<tr id=\"{}\"><td>", code.as_str()));
        html.element("code", code.as_str());
        html.raw("</td><td>");
        html.escaped(&code.status().as_u16().to_string());
        html.raw("</td><td>");
        html.text(code.title());
        html.raw("</td></tr>");
    }
    html.table_end();
    html.raw("</section>");
}

fn schemas(html: &mut Html, description: &Value) {
    html.raw("<section id=\"schemas\"><h2>schemas</h2>");
    for (name, schema) in members(&description["components"]["schemas"]) {
        html.raw(&format!("<article id=\"schema-{name}\">"));
        html.element("h3", name);
        html.raw("<p>");
        html.text(text(&schema["description"]));
        html.raw("</p>");
        schema_members(html, schema);
        for part in ["allOf", "oneOf"] {
            for part in items(&schema[part]) {
                if part["$ref"].is_string() {
                    html.raw("<p>All of ");
                    schema_name(html, part);
                    html.raw(", and:</p>");
                }
                schema_members(html, part);
            }
        }
        html.raw("</article>");
    }
    html.raw("</section>");
}

fn schema_members(html: &mut Html, schema: &Value) {
    if members(&schema["properties"]).next().is_none() {
        return;
    }
    html.table_head(&["member", "type", ""]);
    for (name, member) in members(&schema["properties"]) {
        let is_required = items(&schema["required"]).any(|required| required == name);
        html.raw("<tr><td>");
        html.element("code", name);
        if !is_required {
            html.raw(" <small>optional</small>");
        }
        html.raw("</td><td>");
        schema_name(html, member);
        html.raw("</td><td>");
        html.text(text(&member["description"]));
        html.raw("</td></tr>");
    }
    html.table_end();
}

/// What a schema is, in a word or two, with a link where it has a name.
fn schema_name(html: &mut Html, schema: &Value) {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        html.raw(&format!("<a href=\"#schema-{name}\">"));
        html.escaped(name);
        html.raw("</a>");
        return;
    }
    let alternatives: Vec<_> = items(&schema["oneOf"]).collect();
    for (index, part) in alternatives.iter().enumerate() {
        if index > 0 {
            html.raw(" or ");
        }
        schema_name(html, part);
    }
    let kinds: Vec<_> = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(text).collect(),
        kind => kind.as_str().into_iter().collect(),
    };
    html.escaped(&kinds.join(" or "));
    if kinds.contains(&"array") {
        html.raw(" of ");
        schema_name(html, &schema["items"]);
    }
    if let Some(format) = schema["format"].as_str() {
        html.raw(" <small>");
        html.escaped(format);
        html.raw("</small>");
    }
    if let Some(values) = schema["enum"].as_array() {
        let words: Vec<_> = values
            .iter()
            .map(|word| format!("`{}`", text(word)))
            .collect();
        html.raw(" ");
        html.text(&words.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_call_cannot_act_on_the_page() {
        let mut html = Html(String::new());
        html.text("a <b> & `<c>`");
        assert_eq!(html.0, "a &lt;b&gt; &amp; <code>&lt;c&gt;</code>");
    }
}
